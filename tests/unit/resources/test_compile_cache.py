"""What an engine compiles is kept apart by image and model, and only the engine is let near it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead.resources import build, names
from tests.unit.resources.cases import CASES, CONTEXT, EVERYTHING, model_deployment

if TYPE_CHECKING:
    from fairlead.resources.manifest import Manifest

CACHE = {"compileCache": {"claimName": "compiled"}}


def pod(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = next(each for each in manifests if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    return spec


def mounts(container: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in container["volumeMounts"] if each["name"] == names.COMPILE_CACHE_VOLUME]


def folder(spec: dict[str, Any]) -> str:
    (engine,) = pod(build(model_deployment(spec), CONTEXT))["containers"]
    (mount,) = mounts(engine)
    found: str = mount["subPath"]
    return found


def test_only_the_engine_has_it_and_keeps_what_it_compiles_there() -> None:
    spec = pod(build(*CASES["compile-cache"]))
    (engine,) = spec["containers"]
    (mount,) = mounts(engine)
    assert {"name": "VLLM_CACHE_ROOT", "value": mount["mountPath"]} in engine["env"]
    assert len([each for each in engine["env"] if each["name"] == "VLLM_CACHE_ROOT"]) == 1
    assert not mount.get("readOnly")
    assert not any(mounts(each) for each in spec["initContainers"])
    assert {"name": "compile-cache", "persistentVolumeClaim": {"claimName": "compiled"}} in spec["volumes"]
    assert spec["securityContext"]["fsGroup"] == names.UID
    (plain,) = pod(build(*CASES["minimal"]))["containers"]
    assert {"name": "VLLM_CACHE_ROOT", "value": "/tmp/cache/vllm"} in plain["env"]  # noqa: S108


def test_each_image_and_model_has_a_folder_and_nothing_else_makes_another() -> None:
    own = folder({"engine": CACHE})
    assert own.startswith("vllm-")
    assert folder({"engine": CACHE, "replicas": 5, "warmup": EVERYTHING["warmup"]}) == own
    others = [
        folder({"engine": {**CACHE, "image": "registry.example.com/own/vllm@sha256:00"}}),
        folder({"engine": CACHE, "model": {"uri": "pvc://models/other"}}),
        folder({"engine": CACHE, "model": {"uri": "hf://org/tiny"}}),
        folder({"engine": CACHE, "model": {"uri": "hf://org/tiny", "revision": "v2"}}),
    ]
    assert len({own, *others}) == 5
