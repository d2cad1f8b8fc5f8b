"""The volume on which an engine keeps what it has compiled, so that the next one starts sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.resources import names
from fairlead.resources.manifest import digest

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeploymentSpec


def compile_cache_volumes(spec: ModelDeploymentSpec) -> list[dict[str, Any]]:
    cache = spec.engine.compile_cache
    if cache is None:
        return []
    return [{"name": names.COMPILE_CACHE_VOLUME, "persistentVolumeClaim": {"claimName": cache.claim_name}}]


def compile_cache_mounts(spec: ModelDeploymentSpec, image: str) -> list[dict[str, Any]]:
    """Only the folder of this image and model is in the container: others on the same claim cannot be reached from it."""
    mounts = compile_cache_volumes(spec)
    return [{"name": each["name"], "mountPath": names.COMPILE_CACHE_PATH, "subPath": folder(spec, image)} for each in mounts]


def folder(spec: ModelDeploymentSpec, image: str) -> str:
    """The engine tells settings apart by itself. A new image begins with an empty folder: what lies there is code."""
    key = {"image": image, "model": spec.model.uri, "revision": spec.model.revision or ""}
    return f"{spec.engine.name}-{digest(key)[:16]}"
