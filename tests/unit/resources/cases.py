"""ModelDeployments whose manifests are kept as golden files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from fairlead.api.model_deployment import ModelDeployment
from fairlead.resources.context import BuildContext, Images

CONTEXT = BuildContext(
    images=Images(sidecar="example.com/fairlead/envoy:1.40.0", engines={"vllm": {"0.32.0": "example.com/fairlead/vllm:0.32.0"}}),
    operator_namespace="fairlead-system",
)
SCRAPED = BuildContext(
    images=CONTEXT.images,
    operator_namespace="fairlead-system",
    scrape_from=({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},),
)
DUAL_STACK = replace(CONTEXT, ipv6=True)


def model_deployment(spec: dict[str, Any] | None = None, name: str = "chat", **metadata: Any) -> ModelDeployment:
    return ModelDeployment.model_validate(
        {
            "apiVersion": "serving.fairlead.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": "team-a", "uid": "6f6d8b1e-0000-4000-8000-000000000001", **metadata},
            "spec": {"model": {"uri": "pvc://models/tiny"}, **(spec or {})},
        }
    )


PUBLIC_KEY = (
    '{"keys": [{"kty": "EC", "kid": "1", "alg": "ES256", "use": "sig", "crv": "P-256", '
    '"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}'
)
"""That of RFC 7515, appendix A.3."""


def access(**jwks: Any) -> dict[str, Any]:
    """spec.access with these keys."""
    return {"jwt": {"issuer": "https://issuer.example.com", "audiences": ["models"], "jwks": jwks}}


EVERYTHING: dict[str, Any] = {
    "model": {"uri": "pvc://big-models/org/qwen3-8b/", "servedName": "Qwen/Qwen3-8B"},
    "engine": {
        "name": "vllm",
        "version": "0.32.0",
        "image": "registry.example.com/own/vllm@sha256:00",
        "dtype": "bfloat16",
        "quantization": "fp8",
        "kvCacheDtype": "fp8",
        "maxModelLen": 16384,
        "maxNumSeqs": 2048,
        "gpuMemoryUtilizationPercent": 85,
        "args": {
            "enable-prefix-caching": "true",
            "async-scheduling": "false",
            "max-num-batched-tokens": 8192,
            "compilation-config.mode": 3,
            "load-format": "runai_streamer",
            "kv-cache-dtype-skip-layers": '["0", "1"]',
        },
        "env": [
            {"name": "VLLM_LOGGING_LEVEL", "value": "WARNING"},
            {"name": "EMPTY", "value": ""},
            {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "one", "optional": True}}},
            {"name": "FROM_CONFIG", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "two"}}},
        ],
    },
    "accelerator": {
        "resourceName": "nvidia.com/mig-3g.40gb",
        "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100"},
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "spot", "operator": "Equal", "value": "", "effect": "NoExecute", "tolerationSeconds": 0},
        ],
    },
    "replicas": 5,
    "warmup": {"enabled": False, "requests": 3, "promptTokens": 128, "maxTokens": 4},
    "health": {"stallSeconds": 90, "startupTimeoutSeconds": 1801, "gpuMemoryFloor": "0.5Gi"},
    "rollout": {"maxSurge": 0, "maxUnavailable": 1, "maxStreamSeconds": 3600},
    "access": {
        "jwt": {
            "issuer": "https://issuer.example.com/realms/one",
            "audiences": ["models", "https://models.example.com/"],
            "jwks": {"url": "https://issuer.example.com:8443/keys?realm=one"},
        }
    },
    "pod": {
        "labels": {"team": "assistants"},
        "annotations": {"example.com/owner": "team-a"},
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]
                }
            },
            "podAffinity": {},
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "podAffinityTerm": {
                            "topologyKey": "rack",
                            "labelSelector": {"matchLabels": {}, "matchExpressions": []},
                            "namespaces": [],
                        },
                    }
                ]
            },
        },
        "topologySpreadConstraints": [
            {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"},
            {"topologyKey": "rack", "labelSelector": {"matchLabels": {"team": "assistants"}}},
            {"topologyKey": "row", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": []}]}},
            {"topologyKey": "all", "labelSelector": {"matchLabels": {}}},
        ],
        "priorityClassName": "serving-first",
        "runtimeClassName": "nvidia",
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "own-account",
        "resources": {"requests": {"cpu": 4, "memory": "24Gi"}, "limits": {"memory": "32Gi", "ephemeral-storage": "10Gi"}},
    },
}


def _quickstart() -> ModelDeployment:
    text = Path(__file__).parents[3].joinpath("examples", "quickstart.yaml").read_text("utf-8")
    manifest = next(each for each in yaml.safe_load_all(text) if each["kind"] == "ModelDeployment")
    return model_deployment(manifest["spec"], name=manifest["metadata"]["name"])


CASES: dict[str, tuple[ModelDeployment, BuildContext]] = {
    "minimal": (model_deployment(), CONTEXT),
    "everything": (model_deployment(EVERYTHING, name="qwen3-8b"), SCRAPED),
    "quickstart": (_quickstart(), CONTEXT),
    "inline-keys": (model_deployment({"access": access(inline=PUBLIC_KEY)}), CONTEXT),
    "mounted-keys": (
        model_deployment({"access": access(configMapKeyRef={"name": "issuer-keys", "key": "current.json"})}),
        CONTEXT,
    ),
    "hub": (model_deployment({"model": {"uri": "hf://Qwen/Qwen3-8B"}}), CONTEXT),
    "hub-mirror": (
        model_deployment(
            {
                "model": {
                    "uri": "hf://org/tiny_model",
                    "revision": "refs/pr/1",
                    "secretRef": {"name": "hub", "key": "read-only"},
                    "cache": {"size": "40Gi", "storageClassName": "local-ssd"},
                    "endpoint": "http://mirror.example.com:8080/huggingface/",
                },
                "access": access(url="https://issuer.example.com:8443/keys"),
            }
        ),
        DUAL_STACK,
    ),
    "compile-cache": (model_deployment({"engine": {"compileCache": {"claimName": "compiled"}}}), CONTEXT),
    "stopped": (model_deployment({"replicas": 0, "pod": {"topologySpreadConstraints": []}}), CONTEXT),
    "dual-stack": (model_deployment(), DUAL_STACK),
    "whole-claim": (model_deployment({"model": {"uri": "pvc://models"}, "rollout": {"maxStreamSeconds": 30}}), CONTEXT),
}
