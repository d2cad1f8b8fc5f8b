"""A model of a hub in the manifests: who sees the token, who may write, where the pod may go."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fairlead.api.conditions import Reason
from fairlead.resources import build, names, validate
from fairlead_agent.fetch import config as fetcher
from tests.unit.resources.cases import CASES, CONTEXT, model_deployment

if TYPE_CHECKING:
    from fairlead.resources.manifest import Manifest

HUB = build(*CASES["hub"])
MIRROR = build(*CASES["hub-mirror"])
CLAIM = build(*CASES["minimal"])


def child(manifests: list[Manifest], kind: str) -> Manifest:
    return next(each for each in manifests if each["kind"] == kind)


def pod(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = child(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def containers(manifests: list[Manifest]) -> dict[str, dict[str, Any]]:
    spec = pod(manifests)
    return {each["name"]: each for each in (*spec["initContainers"], *spec["containers"])}


def mounts(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in container["volumeMounts"]}


def volume(manifests: list[Manifest], name: str) -> dict[str, Any] | None:
    return next((each for each in pod(manifests)["volumes"] if each["name"] == name), None)


def ports(manifests: list[Manifest]) -> list[list[int]]:
    egress = child(manifests, "NetworkPolicy")["spec"].get("egress") or []
    return [[each["port"] for each in rule["ports"]] for rule in egress]


def test_the_fetcher_comes_after_the_sidecar_and_before_the_engine() -> None:
    assert list(containers(HUB)) == ["sidecar", "fetch", "engine"]
    assert list(containers(CLAIM)) == ["sidecar", "engine"]
    assert containers(HUB)["fetch"]["image"] == containers(HUB)["engine"]["image"]
    assert "restartPolicy" not in containers(HUB)["fetch"]


def test_only_the_fetcher_sees_the_token_and_writes_the_model() -> None:
    seen = {name: mounts(container) for name, container in containers(MIRROR).items()}
    assert [name for name in seen if names.HUB_TOKEN_VOLUME in seen[name]] == ["fetch"]
    assert not seen["fetch"][names.MODEL_VOLUME].get("readOnly")
    assert seen["engine"][names.MODEL_VOLUME]["readOnly"]
    assert names.MODEL_VOLUME not in seen["sidecar"]
    found = volume(MIRROR, names.HUB_TOKEN_VOLUME)
    assert found is not None
    assert found["secret"]["secretName"] == "hub"
    assert found["secret"]["items"] == [{"key": "read-only", "path": "token"}]
    assert found["secret"]["optional"], "or the fetcher could not say that it is missing"
    assert volume(HUB, names.HUB_TOKEN_VOLUME) is None
    text = json.dumps(MIRROR)
    assert "secretKeyRef" not in text, "no token in an environment"


def test_the_volume_is_the_pod_s_own() -> None:
    found = volume(HUB, names.MODEL_VOLUME)
    assert found is not None
    claim = found["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert claim == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Gi"}}}
    mirrored = volume(MIRROR, names.MODEL_VOLUME)
    assert mirrored is not None
    claim = mirrored["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("local-ssd", "40Gi")
    assert pod(HUB)["securityContext"]["fsGroup"] == names.UID, "a new volume is root's"
    assert "fsGroup" not in pod(CLAIM)["securityContext"]


def test_the_engine_reads_what_the_fetcher_wrote_and_asks_no_hub() -> None:
    engine = containers(HUB)["engine"]
    settings = fetcher.parse(child(HUB, "ConfigMap")["data"][names.FETCH_CONFIG_KEY])
    assert str(settings.folder) == engine["args"][engine["args"].index("--") + 1] == "/models/model"
    assert str(settings.folder).startswith(mounts(containers(HUB)["fetch"])[names.MODEL_VOLUME]["mountPath"] + "/")
    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in engine["env"]
    assert containers(HUB)["fetch"]["args"] == ["fetch", "--config=/etc/fairlead/fetch.json"]


def test_the_fetcher_reads_what_the_operator_writes() -> None:
    plain = fetcher.parse(child(HUB, "ConfigMap")["data"][names.FETCH_CONFIG_KEY])
    assert (plain.host, plain.port, plain.command) == ("0.0.0.0", names.AGENT_PORT, "vllm")  # noqa: S104
    assert (plain.repository, plain.revision, plain.endpoint) == ("Qwen/Qwen3-8B", "main", "https://huggingface.co")
    assert plain.token is None
    read = fetcher.parse(child(MIRROR, "ConfigMap")["data"][names.FETCH_CONFIG_KEY])
    assert (read.host, read.repository, read.revision) == ("::", "org/tiny_model", "refs/pr/1")
    assert read.endpoint == "http://mirror.example.com:8080/huggingface"
    assert read.token is not None
    assert (read.token.secret, read.token.key) == ("hub", "read-only")
    mounted = mounts(containers(MIRROR)["fetch"])[names.HUB_TOKEN_VOLUME]["mountPath"]
    assert str(read.token.file) == f"{mounted}/token"
    assert names.FETCH_CONFIG_KEY not in child(CLAIM, "ConfigMap")["data"]


def test_the_key_of_a_token_has_a_default() -> None:
    manifests = build(model_deployment({"model": {"uri": "hf://org/tiny", "secretRef": {"name": "hub"}}}), CONTEXT)
    found = volume(manifests, names.HUB_TOKEN_VOLUME)
    assert found is not None
    assert found["secret"]["items"][0]["key"] == "token"
    read = fetcher.parse(child(manifests, "ConfigMap")["data"][names.FETCH_CONFIG_KEY])
    assert read.token is not None
    assert read.token.key == "token"


def test_the_pod_may_go_to_the_hub_and_not_to_the_link() -> None:
    assert ports(CLAIM) == []
    assert ports(HUB) == [[53, 53], [443]]
    assert ports(MIRROR) == [[53, 53], [443, 8080, 8443]], "the mirror, the stores it redirects to, and the issuer of the tokens"
    away = [each["ipBlock"].get("except") for each in child(HUB, "NetworkPolicy")["spec"]["egress"][1]["to"] if "ipBlock" in each]
    assert "169.254.0.0/16" in away[0]


def test_a_cluster_admin_may_name_another_hub_and_a_spec_a_third() -> None:
    here = replace(CONTEXT, model_hub_endpoint="https://hub.internal:9443")
    own = {"uri": "hf://org/tiny"}

    def endpoint(model: dict[str, Any]) -> str:
        manifests = build(model_deployment({"model": model}), here)
        return fetcher.parse(child(manifests, "ConfigMap")["data"][names.FETCH_CONFIG_KEY]).endpoint

    assert endpoint(own) == "https://hub.internal:9443"
    assert endpoint(own | {"endpoint": "https://third.example.com"}) == "https://third.example.com"
    assert ports(build(model_deployment({"model": own}), here)) == [[53, 53], [443, 9443]]


@pytest.mark.parametrize(
    ("endpoint", "default", "where"),
    [
        ("https://hub.example.com:99999", "https://huggingface.co", "spec.model.endpoint: "),
        (None, "https://hub.example.com:99999", "the chart's modelHub.endpoint: "),
        (None, "hub.example.com", "the chart's modelHub.endpoint: "),
    ],
)
def test_an_endpoint_that_is_none(endpoint: str | None, default: str, where: str) -> None:
    model = {"uri": "hf://org/tiny"} | ({"endpoint": endpoint} if endpoint else {})
    (problem,) = validate(model_deployment({"model": model}), replace(CONTEXT, model_hub_endpoint=default))
    assert problem.reason is Reason.INVALID_HUB_ENDPOINT
    assert problem.message.startswith(where)
