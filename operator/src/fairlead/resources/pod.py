"""The pod of a replica: the engine under its agent, and Envoy in front of it. Pod Security `restricted` lets it through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fairlead.resources import envoy, lifetimes, names
from fairlead.resources.compile_cache import compile_cache_mounts, compile_cache_volumes
from fairlead.resources.engine_args import engine_args
from fairlead.resources.engine_env import engine_env
from fairlead.resources.fetch import fetch_container, token_volumes
from fairlead.resources.hub_model import HubModel
from fairlead.resources.manifest import kept
from fairlead.resources.model_volume import ModelVolume
from fairlead.resources.service_account import service_account_name

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeployment
    from fairlead.api.pod import Resources
    from fairlead.resources.context import BuildContext

PROBE_PERIOD: Final = 2
"""Seconds; damping is the agent's business, so one failed readiness probe takes a replica out of the Service."""

SIDECAR_RESOURCES: Final = {
    # Idle: 70 MB and no CPU. A request costs about 0.2 ms of CPU, a streamed chunk 0.045 ms: 256 streams with 30 tokens a
    # second are a third of a core. No CPU limit: throttling would show as latency of every stream.
    "requests": {"cpu": "100m", "memory": "128Mi"},
    # envoy.LIMITS.heap_bytes is three quarters of it.
    "limits": {"memory": "1Gi"},
}

_LIFECYCLE: Final = {"preStop": {"sleep": {"seconds": lifetimes.SIGNAL_SECONDS}}}
"""The kubelet's own sleep before SIGTERM. The sidecar's runs beside the drain and costs nothing."""

_CONTAINER_SECURITY: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
}


def pod_template(mdep: ModelDeployment, context: BuildContext, config: str) -> dict[str, Any]:
    """The template; `config` is the name of the ConfigMap that it mounts, another one for other data, so that the pods roll.

    Raises:
        ValueError: there is no image for the engine, or the model's URI is none.
    """
    pod = mdep.spec.pod
    image = context.engine_image(mdep.spec.engine)
    if image is None:
        raise ValueError(f"there is no image for {mdep.spec.engine.name} {mdep.spec.engine.version}; set spec.engine.image")
    accelerator = mdep.spec.accelerator
    model = HubModel.of(mdep.spec.model, context)
    spec: dict[str, Any] = {
        "serviceAccountName": service_account_name(mdep),
        "automountServiceAccountToken": False,
        # Kubernetes would set VLLM_PORT for a Service called vllm, and vLLM reads that.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": lifetimes.termination_grace(mdep.spec),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": names.UID,
            "runAsGroup": names.UID,
            "seccompProfile": {"type": "RuntimeDefault"},
            **_group(mdep, model),
        },
        "initContainers": [_sidecar(mdep, context), *_fetch(model, image)],
        "containers": [_engine(mdep, image)],
        "volumes": _volumes(mdep, config, model),
        **_given(
            nodeSelector=dict(accelerator.node_selector),
            tolerations=kept([toleration.to_wire() for toleration in accelerator.tolerations]),
            affinity=kept(pod.affinity),
            topologySpreadConstraints=_spread(mdep),
            priorityClassName=pod.priority_class_name,
            runtimeClassName=pod.runtime_class_name,
            imagePullSecrets=[secret.to_wire() for secret in pod.image_pull_secrets],
        ),
    }
    return {
        "metadata": {
            "labels": {**pod.labels, **names.labels(mdep.metadata.name, mdep.spec.engine.name)},
            **_given(annotations=dict(pod.annotations)),
        },
        "spec": spec,
    }


def _given(**fields: Any) -> dict[str, Any]:
    """The fields that say something: the API server drops empty lists and maps."""
    return {name: value for name, value in fields.items() if value}


def _sidecar(mdep: ModelDeployment, context: BuildContext) -> dict[str, Any]:
    """A native sidecar: it is up before the engine starts and ends after it. The image's entrypoint is Envoy."""
    return {
        "name": names.SIDECAR_CONTAINER,
        "image": context.images.sidecar,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "args": envoy.command_line(f"{names.CONFIG_PATH}/{names.ENVOY_CONFIG_KEY}"),
        "ports": [_port("http", names.HTTP_PORT), _port("metrics", names.METRICS_PORT)],
        # No readiness probe of its own: the agent asks the engine through the sidecar.
        "startupProbe": {
            **_http_get("/ready", names.METRICS_PORT),
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": 60,
        },
        "lifecycle": _LIFECYCLE,
        "resources": SIDECAR_RESOURCES,
        "securityContext": _CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_config_mount(), *_keys_mount(mdep)],
    }


def _group(mdep: ModelDeployment, model: HubModel | None) -> dict[str, Any]:
    """For volumes that the pod writes to: a new one is root's. Of one that it only reads the kubelet leaves the owner alone."""
    if model is None and mdep.spec.engine.compile_cache is None:
        return {}
    return {"fsGroup": names.UID, "fsGroupChangePolicy": "OnRootMismatch"}


def _fetch(model: HubModel | None, image: str) -> list[dict[str, Any]]:
    """Behind the sidecar in the list: its image is the engine's, and begins to be pulled no later for it."""
    if model is None:
        return []
    return [fetch_container(model, image, mounts=[_config_mount()], security=_CONTAINER_SECURITY)]


def _engine(mdep: ModelDeployment, image: str) -> dict[str, Any]:
    """The agent is the image's entrypoint; what follows -- is the engine's."""
    started = mdep.spec.health.startup_timeout_seconds + lifetimes.START_MARGIN
    return {
        "name": names.ENGINE_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [f"--config={names.CONFIG_PATH}/{names.AGENT_CONFIG_KEY}", "--", *engine_args(mdep)],
        "env": engine_env(mdep.spec.engine),
        "ports": [_port("agent", names.AGENT_PORT)],
        "startupProbe": {
            **_http_get("/startupz", names.AGENT_PORT),
            "periodSeconds": PROBE_PERIOD,
            "timeoutSeconds": 2,
            "failureThreshold": -(-started // PROBE_PERIOD),
            "terminationGracePeriodSeconds": lifetimes.KILL_GRACE,
        },
        "readinessProbe": {
            **_http_get("/readyz", names.AGENT_PORT),
            "periodSeconds": PROBE_PERIOD,
            "timeoutSeconds": 2,
            "successThreshold": 1,
            "failureThreshold": 1,
        },
        "livenessProbe": {
            **_http_get("/livez", names.AGENT_PORT),
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            "failureThreshold": 2,
            "terminationGracePeriodSeconds": lifetimes.KILL_GRACE,
        },
        "lifecycle": _LIFECYCLE,
        "resources": _resources(mdep.spec.pod.resources, mdep.spec.accelerator.resource_name),
        "securityContext": _CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            _config_mount(),
            {"name": names.TMP_VOLUME, "mountPath": names.TMP_PATH},
            {"name": names.SHM_VOLUME, "mountPath": names.SHM_PATH},
            {"name": names.MODEL_VOLUME, "mountPath": names.MODEL_PATH, "readOnly": True},
            *compile_cache_mounts(mdep.spec, image),
        ],
    }


def _volumes(mdep: ModelDeployment, config: str, model: HubModel | None) -> list[dict[str, Any]]:
    return [
        {"name": names.CONFIG_VOLUME, "configMap": {"name": config, "defaultMode": 0o444}},
        {"name": names.TMP_VOLUME, "emptyDir": {}},
        {"name": names.SHM_VOLUME, "emptyDir": {"medium": "Memory"}},
        _claim(mdep) if model is None else model.volume,
        *([] if model is None else token_volumes(model)),
        *compile_cache_volumes(mdep.spec),
        *_keys_volume(mdep),
    ]


def _claim(mdep: ModelDeployment) -> dict[str, Any]:
    claim = ModelVolume.parse(mdep.spec.model.uri).claim
    return {"name": names.MODEL_VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}


def _keys_volume(mdep: ModelDeployment) -> list[dict[str, Any]]:
    """The ConfigMap with the issuer's keys. It must be there: without keys the sidecar would refuse every request."""
    jwks = mdep.spec.jwks
    ref = jwks.config_map_key_ref if jwks is not None else None
    if ref is None:
        return []
    items = [{"key": ref.key, "path": names.KEYS_FILE}]
    return [{"name": names.KEYS_VOLUME, "configMap": {"name": ref.name, "items": items, "defaultMode": 0o444}}]


def _keys_mount(mdep: ModelDeployment) -> list[dict[str, Any]]:
    """The whole folder: the kubelet never writes a single mounted file anew."""
    return [{"name": volume["name"], "mountPath": names.KEYS_PATH, "readOnly": True} for volume in _keys_volume(mdep)]


def _resources(wanted: Resources, gpu: str) -> dict[str, Any]:
    """Host resources and the one GPU, whose request and limit must be the same."""
    return {
        "requests": {**_quantities(wanted.requests), gpu: "1"},
        "limits": {**_quantities(wanted.limits), gpu: "1"},
    }


def _quantities(wanted: dict[str, int | str]) -> dict[str, str]:
    """As text, in which form the API server keeps them."""
    return {name: str(value) for name, value in wanted.items()}


def _spread(mdep: ModelDeployment) -> list[dict[str, Any]]:
    """The user's constraints, or the default: over nodes, as well as possible, each revision of the pods by itself."""
    selector = {"matchLabels": names.selector(mdep.metadata.name)}
    wanted = mdep.spec.pod.topology_spread_constraints
    if wanted is None:
        return [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": selector,
                "matchLabelKeys": ["pod-template-hash"],
            }
        ]
    return [{"labelSelector": selector, **kept(constraint.to_wire())} for constraint in wanted]


def _config_mount() -> dict[str, Any]:
    return {"name": names.CONFIG_VOLUME, "mountPath": names.CONFIG_PATH, "readOnly": True}


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _http_get(path: str, port: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}}
