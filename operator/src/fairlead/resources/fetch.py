"""The container that downloads the model, and what it is told: the agent again, in an image that has the hub's library.

A container of its own and not the engine's: only it sees the token, only it can write to the model's volume, and the time that
a download takes is none of the engine's start. It goes after the sidecar and before the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fairlead.resources import names

if TYPE_CHECKING:
    from fairlead.resources.hub_model import HubModel

VERSION: Final = 1

RESOURCES: Final = {
    # Seen with four files at a time: 56 MB for the library's Python, beside the agent, and 0.6 s of CPU for 256 MB.
    "requests": {"cpu": "100m", "memory": "256Mi"},
    "limits": {"memory": "1Gi"},
}


def fetch_config(model: HubModel, *, engine: str, ipv6: bool) -> dict[str, Any]:
    """What fetch.json holds; its parser refuses a key that it does not know."""
    token = model.token
    return {
        "version": VERSION,
        # The operator asks at the pod's address.
        "bind": {"host": "::" if ipv6 else "0.0.0.0", "port": names.AGENT_PORT},  # noqa: S104 # nosec B104
        "engine": engine,
        "repository": model.repository,
        "revision": model.revision,
        "endpoint": model.endpoint,
        "folder": f"{names.MODEL_PATH}/{names.DOWNLOAD_FOLDER}",
        "token": token
        and {"file": f"{names.HUB_TOKEN_PATH}/{names.HUB_TOKEN_FILE}", "secret": token.name, "key": model.token_key},
    }


def fetch_container(model: HubModel, image: str, *, mounts: list[dict[str, Any]], security: dict[str, Any]) -> dict[str, Any]:
    """An init container. No probe: it ends when the model is there, and tells the operator meanwhile."""
    token = {"name": names.HUB_TOKEN_VOLUME, "mountPath": names.HUB_TOKEN_PATH, "readOnly": True}
    return {
        "name": names.FETCH_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["fetch", f"--config={names.CONFIG_PATH}/{names.FETCH_CONFIG_KEY}"],
        "env": [{"name": "HOME", "value": names.TMP_PATH}],
        "resources": RESOURCES,
        "securityContext": security,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            *mounts,
            {"name": names.TMP_VOLUME, "mountPath": names.TMP_PATH},
            {"name": names.MODEL_VOLUME, "mountPath": names.MODEL_PATH},
            *([token] if model.token is not None else []),
        ],
    }


def token_volumes(model: HubModel) -> list[dict[str, Any]]:
    """The token as a file, which follows the Secret. Optional: the fetcher says if it is missing, and goes on later."""
    if model.token is None:
        return []
    items = [{"key": model.token_key, "path": names.HUB_TOKEN_FILE}]
    secret = {"secretName": model.token.name, "items": items, "optional": True, "defaultMode": 0o444}
    return [{"name": names.HUB_TOKEN_VOLUME, "secret": secret}]
