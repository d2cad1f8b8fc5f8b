"""spec.autoscaling: what the API server takes, what it refuses, and what may not change, as rows of the admission tables."""

from typing import Any

Object = dict[str, Any]

AUTO: Object = {"replicas": 1, "autoscaling": {"maxReplicas": 4}}

ACCEPTED: dict[str, Object] = {
    "autoscaling by the operator": AUTO,
    "every number of autoscaling at its lower end": {
        "replicas": 1,
        "autoscaling": {
            "mode": "Auto",
            "minReplicas": 1,
            "maxReplicas": 1,
            "queueDepth": 1,
            "dutyCyclePercent": 1,
            "loadPercent": 10,
            "quietSeconds": 30,
            "stepSeconds": 2,
            "coldStartSeconds": 1,
            "prometheus": {"metric": "my:gpu_busy_ratio", "unit": "Ratio"},
        },
    },
    "every number of autoscaling at its upper end": {
        "autoscaling": {
            "minReplicas": 1000,
            "maxReplicas": 1000,
            "queueDepth": 1000,
            "dutyCyclePercent": 100,
            "loadPercent": 95,
            "quietSeconds": 86_400,
            "stepSeconds": 86_400,
            "coldStartSeconds": 7200,
        },
    },
    "the duty cycle out of Prometheus": {"autoscaling": {"maxReplicas": 2, "prometheus": {}}},
    "a recommendation for one that is stopped": {"replicas": 0, "autoscaling": {"mode": "Recommend", "maxReplicas": 2}},
    "another autoscaler, down to nothing": {"replicas": 0, "autoscaling": {"mode": "External"}},
}

REFUSED: dict[str, tuple[Object, str, str]] = {
    "autoscaling without an end": ({"autoscaling": {}}, "spec.autoscaling.maxReplicas", "may be paid for, such as 4"),
    "a recommendation without an end": (
        {"autoscaling": {"mode": "Recommend"}},
        "spec.autoscaling.maxReplicas",
        "may be paid for, such as 4",
    ),
    "a minimum above the maximum": (
        {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}},
        "spec.autoscaling.minReplicas",
        "not above spec.autoscaling.maxReplicas, such as 1",
    ),
    "a mode that YAML makes of On": ({"autoscaling": {"mode": True, "maxReplicas": 2}}, "spec.autoscaling.mode", "string"),
    "a mode of another autoscaler": ({"autoscaling": {"mode": "Off", "maxReplicas": 2}}, "spec.autoscaling.mode", '"Auto"'),
    "an expression for a metric": (
        {"autoscaling": {"maxReplicas": 2, "prometheus": {"metric": "avg(up)"}}},
        "spec.autoscaling.prometheus.metric",
        "the name of a metric and no expression",
    ),
    "autoscaling of one that is stopped": (
        {"replicas": 0, "autoscaling": {"maxReplicas": 2}},
        "spec.replicas",
        "0 stops a model for good",
    ),
}

REFUSED_CHANGES: dict[str, tuple[Object, Object]] = {"replicas while the operator sets them": (AUTO, {**AUTO, "replicas": 3})}
"""What is there, and what it may not become."""
