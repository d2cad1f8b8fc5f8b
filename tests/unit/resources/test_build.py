"""Properties that every set of manifests has, whatever the ModelDeployment says."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.api.engine_env import FORCED_ENV
from fairlead.resources import build, lifetimes, names, validate
from fairlead.resources.context import BuildContext, Images
from fairlead.resources.envoy import LIMITS
from fairlead.resources.manifest import Manifest, digest
from fairlead_agent import config as agent
from tests.unit.resources.cases import CASES, CONTEXT, EVERYTHING, model_deployment

KINDS = ["ServiceAccount", "ConfigMap", "NetworkPolicy", "Service", "PodDisruptionBudget", "Deployment"]

hostile = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60) | st.sampled_from(
    [
        '"}},"x":{"',
        "{{ 7*7 }}",
        "{% raw %}",
        "$(HOME)",
        "$$(HOME)",
        "`id`",
        "; rm -rf /",
        "--trust-remote-code",
        "a\nb: c",
        "no",
        "0x1",
        "</script>",
        "\\u0000",
    ]
)


def by_kind(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {manifest["kind"]: manifest for manifest in manifests}


def pod_spec(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = by_kind(manifests)["Deployment"]["spec"]["template"]["spec"]
    return spec


def engine_container(manifests: list[Manifest]) -> dict[str, Any]:
    container: dict[str, Any] = pod_spec(manifests)["containers"][0]
    return container


@pytest.fixture(params=CASES)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return build(*CASES[request.param])


def test_what_pods_need_comes_before_them() -> None:
    assert [manifest["kind"] for manifest in build(model_deployment(), CONTEXT)] == KINDS
    own_account = model_deployment({"pod": {"serviceAccountName": "mine"}})
    assert [manifest["kind"] for manifest in build(own_account, CONTEXT)] == KINDS[1:]
    assert pod_spec(build(own_account, CONTEXT))["serviceAccountName"] == "mine"


def test_each_child_is_tied_to_its_model_deployment(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        metadata = manifest["metadata"]
        (owner,) = metadata["ownerReferences"]
        assert owner["controller"]
        assert owner["blockOwnerDeletion"]
        assert metadata["namespace"] == "team-a"
        assert metadata["labels"][names.MODEL_DEPLOYMENT_LABEL] == owner["name"]
        assert re.fullmatch(owner["name"] + ("-config-[0-9a-f]{10}" if manifest["kind"] == "ConfigMap" else ""), metadata["name"])


def test_the_hash_is_of_all_but_itself(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        annotations = manifest["metadata"].pop("annotations")
        assert annotations == {names.APPLIED_HASH_ANNOTATION: digest(manifest)}


def test_nothing_is_written_that_the_api_server_would_drop(manifests: list[Manifest]) -> None:
    said = {("emptyDir",), ("namespaceSelector",), ("podSelector",), ("labelSelector",), ("podAffinity",)}

    def check(value: Any, at: tuple[str, ...]) -> None:
        assert value is not None, at
        assert value != "", at
        assert not isinstance(value, float), at
        if isinstance(value, (dict, list)):
            assert value or at[-1:] in said, at
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                check(inner, (*at, str(key)))

    for manifest in manifests:
        check(manifest, ())


def test_names_fit_at_the_longest_name() -> None:
    name = "a" * 50
    for manifest in build(model_deployment(name=name), CONTEXT):
        # A ConfigMap's name is no label's value, nor a host's.
        assert len(manifest["metadata"]["name"]) <= (253 if manifest["kind"] == "ConfigMap" else 63)
        for labels in (manifest["metadata"]["labels"], manifest["spec"].get("selector", {}) if "spec" in manifest else {}):
            assert all(len(value) <= 63 for value in labels.values() if isinstance(value, str))


def test_pods_and_selectors_agree(manifests: list[Manifest]) -> None:
    children = by_kind(manifests)
    labels = children["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selector = children["Service"]["spec"]["selector"]
    assert selector.items() <= labels.items()
    for matching in (
        children["Deployment"]["spec"]["selector"],
        children["NetworkPolicy"]["spec"]["podSelector"],
        children["PodDisruptionBudget"]["spec"]["selector"],
    ):
        assert matching == {"matchLabels": selector}


def test_pod_security_restricted(manifests: list[Manifest]) -> None:
    """The rules of the standard, one by one; a real API server judges in the control-plane lane."""
    spec = pod_spec(manifests)
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & spec.keys()
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    kinds = {key for volume in spec["volumes"] for key in volume} - {"name"}
    assert kinds <= {"configMap", "emptyDir", "ephemeral", "persistentVolumeClaim", "secret"}
    for container in [*spec["initContainers"], *spec["containers"]]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"] is True
        assert security["runAsNonRoot"] is True
        assert not [port for port in container.get("ports", []) if "hostPort" in port]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    if "fsGroup" in spec["securityContext"]:
        claims = [volume for volume in spec["volumes"] if volume["name"] == names.MODEL_VOLUME and "ephemeral" not in volume]
        assert all(volume["persistentVolumeClaim"]["readOnly"] for volume in claims), "it would change its folders' owner"


def test_the_only_hook_is_a_sleep_and_the_sidecar_is_native(manifests: list[Manifest]) -> None:
    spec = pod_spec(manifests)
    (sidecar, *_), (engine,) = spec["initContainers"], spec["containers"]
    assert sidecar["restartPolicy"] == "Always"
    assert "readinessProbe" not in sidecar
    for container in (sidecar, engine):
        assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 2}}}
        assert "command" not in container, "the image's entrypoint is the program"
    assert engine["args"][:2] == ["--config=/etc/fairlead/agent.json", "--"]


def test_times_fit_together() -> None:
    """The kubelet waits longer than the agent, the Deployment longer than the kubelet."""
    for mdep, context in CASES.values():
        manifests = build(mdep, context)
        spec, engine = mdep.spec, engine_container(manifests)
        told = json.loads(by_kind(manifests)["ConfigMap"]["data"]["agent.json"])["drain"]
        assert pod_spec(manifests)["terminationGracePeriodSeconds"] > sum(told.values())
        probe = engine["startupProbe"]
        allowed = probe["periodSeconds"] * probe["failureThreshold"]
        assert spec.health.startup_timeout_seconds < allowed < spec.health.startup_timeout_seconds + 15
        assert by_kind(manifests)["Deployment"]["spec"]["progressDeadlineSeconds"] > allowed
        assert f"--shutdown-timeout={told['engineShutdownSeconds']}" in engine["args"]
        liveness = engine["livenessProbe"]
        # The last look may come a period after the stall was told; what is promised is stallSeconds + 30 s.
        assert liveness["periodSeconds"] * (liveness["failureThreshold"] + 1) + lifetimes.KILL_GRACE <= 30


def test_without_a_surge_the_deadline_counts_the_end_of_the_old_replica() -> None:
    surge = model_deployment({"rollout": {"maxSurge": 1, "maxUnavailable": 0}})
    none = model_deployment({"rollout": {"maxSurge": 0, "maxUnavailable": 1}})
    deadlines = [by_kind(build(mdep, CONTEXT))["Deployment"]["spec"]["progressDeadlineSeconds"] for mdep in (surge, none)]
    assert deadlines[1] - deadlines[0] == lifetimes.termination_grace(none.spec)


def test_the_memory_limit_is_above_where_envoy_stops_by_itself(manifests: list[Manifest]) -> None:
    (sidecar, *_) = pod_spec(manifests)["initContainers"]
    assert sidecar["resources"]["limits"]["memory"] == "1Gi"
    assert LIMITS.heap_bytes == 2**30 * 3 // 4
    assert LIMITS.body_bytes * 8 < LIMITS.heap_bytes, "some of the largest bodies at once are no overload"


def test_nothing_leaves_the_pod_and_figures_are_for_few() -> None:
    peers = ({"ipBlock": {"cidr": "10.0.0.0/8"}},)
    policy = by_kind(build(model_deployment(), dataclasses.replace(CONTEXT, scrape_from=peers)))["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    requests, status, figures = policy["ingress"]
    assert requests == {"from": [{"namespaceSelector": {}}], "ports": [{"port": 8000, "protocol": "TCP"}]}
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "fairlead-system"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "fairlead-operator"}},
    }
    assert status == {"from": [operator], "ports": [{"port": 8002, "protocol": "TCP"}]}
    assert figures == {"from": [*peers], "ports": [{"port": port, "protocol": "TCP"} for port in (8002, 8004)]}


def test_where_nobody_scrapes_no_rule_lets_everybody_do_it() -> None:
    policy = by_kind(build(model_deployment(), dataclasses.replace(CONTEXT, scrape_from=())))["NetworkPolicy"]["spec"]
    assert [[port["port"] for port in rule["ports"]] for rule in policy["ingress"]] == [[8000], [8002]]
    assert all(rule["from"] for rule in policy["ingress"])


def test_the_gpu_is_asked_for_once_and_users_labels_give_way() -> None:
    labels = {names.MODEL_DEPLOYMENT_LABEL: "other", names.MANAGED_BY_LABEL: "me", "team": "a"}
    manifests = build(model_deployment({"pod": {"labels": labels}, "accelerator": {"resourceName": "amd.com/gpu"}}), CONTEXT)
    pod_labels = by_kind(manifests)["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert pod_labels == {**names.labels("chat", "vllm"), "team": "a"}
    resources = engine_container(manifests)["resources"]
    assert resources["limits"] == {"amd.com/gpu": "1"}
    assert resources["requests"] == {"cpu": "1", "memory": "4Gi", "amd.com/gpu": "1"}


def test_forced_environment_is_not_the_users() -> None:
    mine = [{"name": name, "value": "1"} for name in FORCED_ENV] + [{"name": "MINE", "value": "$(HOME)/x"}]
    env = engine_container(build(model_deployment({"engine": {"env": mine}}), CONTEXT))["env"]
    assert env == [
        *({"name": name, "value": value} for name, value in FORCED_ENV.items()),
        {"name": "MINE", "value": "$(HOME)/x"},
    ]


@given(st.dictionaries(hostile, hostile, max_size=3), hostile, hostile)
def test_what_a_user_writes_survives_as_data(texts: dict[str, str], served: str, image: str) -> None:
    mdep = model_deployment(
        {
            "model": {"uri": "pvc://models", "servedName": served},
            "engine": {"image": image, "env": [{"name": f"E{n}", "value": text} for n, text in enumerate(texts.values())]},
            "pod": {"annotations": texts, "labels": texts, "affinity": {"x": texts}, "priorityClassName": served},
        }
    )
    manifests = json.loads(json.dumps(build(mdep, CONTEXT)))
    template = by_kind(manifests)["Deployment"]["spec"]["template"]
    assert template["metadata"].get("annotations", {}) == texts
    assert texts.items() <= template["metadata"]["labels"].items()
    assert template["spec"].get("affinity") == {"x": texts}
    assert template["spec"]["priorityClassName"] == served
    engine = template["spec"]["containers"][0]
    assert engine["image"] == image
    assert [each["value"] for each in engine["env"] if re.fullmatch(r"E\d", each["name"])] == list(texts.values())
    data = by_kind(manifests)["ConfigMap"]["data"]
    assert agent.parse(data["agent.json"]).served_name == served
    assert json.loads(data["envoy.json"])["static_resources"]


def test_the_bootstrap_holds_no_text_of_a_users() -> None:
    """Nothing to escape, so nothing to escape from: two ModelDeployments that differ in every text share it."""
    texts = [
        by_kind(build(model_deployment({"model": {"uri": f"pvc://{word}", "servedName": word}}, name=word), CONTEXT))["ConfigMap"]
        for word in ("one", "two")
    ]
    assert texts[0]["data"]["envoy.json"] == texts[1]["data"]["envoy.json"]


BUILT = build(model_deployment(EVERYTHING), CONTEXT)


@settings(max_examples=30)
@given(st.permutations(list(EVERYTHING["engine"]["args"].items())), st.permutations(list(EVERYTHING)))
def test_the_order_in_which_something_is_written_does_not_matter(args: list[tuple[str, Any]], order: list[str]) -> None:
    one = {**EVERYTHING, "engine": {**EVERYTHING["engine"], "args": dict(args)}}
    other = {key: one[key] for key in order}
    assert build(model_deployment(other), CONTEXT) == BUILT


def test_built_manifests_share_nothing() -> None:
    mdep = model_deployment(EVERYTHING)
    before = json.dumps(build(mdep, CONTEXT))
    for manifest in build(mdep, CONTEXT):
        _spoil(manifest)
    assert json.dumps(build(mdep, CONTEXT)) == before


def _spoil(value: Any) -> None:
    for inner in list(value.values() if isinstance(value, dict) else value):
        if isinstance(inner, (dict, list)):
            _spoil(inner)
    value.clear()


ALL = set(KINDS)
POD = {"Deployment"}
CONFIGURED = {"ConfigMap", "Deployment"}


@pytest.mark.parametrize(
    ("spec", "changed"),
    [
        ({}, set()),
        ({"replicas": 2}, set()),  # the default
        ({"replicas": 3}, POD),
        ({"model": {"uri": "pvc://models/other"}}, POD),
        ({"model": {"uri": "pvc://models/tiny", "servedName": "chat"}}, set()),  # the default
        ({"model": {"uri": "pvc://models/tiny", "servedName": "other"}}, CONFIGURED),
        ({"engine": {"maxModelLen": 2048}}, POD),
        ({"engine": {"maxNumSeqs": 512}}, POD),  # within the sidecar's bound
        ({"engine": {"maxNumSeqs": 513}}, CONFIGURED),
        ({"engine": {"gpuMemoryUtilizationPercent": 91}}, CONFIGURED),
        ({"engine": {"args": {"enforce-eager": "true"}}}, POD),
        ({"engine": {"env": [{"name": "A", "value": "b"}]}}, POD),
        ({"engine": {"image": "other"}}, POD),
        ({"accelerator": {"resourceName": "amd.com/gpu"}}, POD),
        ({"warmup": {"enabled": False}}, CONFIGURED),
        ({"health": {"stallSeconds": 61}}, CONFIGURED),
        ({"health": {"startupTimeoutSeconds": 901}}, CONFIGURED),
        ({"health": {"gpuMemoryFloor": "131072Ki"}}, set()),  # the default, in other words
        ({"rollout": {"maxSurge": 2}}, POD),
        ({"rollout": {"maxStreamSeconds": 601}}, CONFIGURED),
        ({"pod": {"priorityClassName": "high"}}, POD),
        ({"pod": {"resources": {"limits": {"memory": "9Gi"}}}}, POD),
    ],
    # A set's own text is in another order in each process, and workers that run tests side by side must agree on names.
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_a_change_moves_the_hashes_of_what_it_changes(spec: dict[str, Any], changed: set[str]) -> None:
    assert _moved(build(model_deployment(), CONTEXT), build(model_deployment(spec), CONTEXT)) == changed


def test_a_change_of_the_settings_moves_what_it_changes() -> None:
    mdep = model_deployment()
    before = build(mdep, CONTEXT)
    images = Images(sidecar="other", engines=CONTEXT.images.engines)
    assert _moved(before, build(mdep, dataclasses.replace(CONTEXT, images=images))) == POD
    assert _moved(before, build(mdep, dataclasses.replace(CONTEXT, scrape_from=({"podSelector": {}},)))) == {"NetworkPolicy"}
    assert _moved(before, build(mdep, dataclasses.replace(CONTEXT, operator_namespace="else"))) == {"NetworkPolicy"}
    assert _moved(before, build(mdep, dataclasses.replace(CONTEXT, allowed_engine_flags=frozenset({"x"})))) == set()


def test_what_is_not_in_the_spec_moves_nothing_but_a_new_uid_does() -> None:
    before = build(model_deployment(), CONTEXT)
    touched = model_deployment(generation=7, labels={"a": "b"}, annotations={"c": "d"}, resourceVersion="9")
    assert _moved(before, build(touched, CONTEXT)) == set()
    assert _moved(before, build(model_deployment(uid="another"), CONTEXT)) == ALL


def _moved(before: list[Manifest], after: list[Manifest]) -> set[str]:
    """Kinds whose hash has changed; the manifests differ just where the hashes do."""
    one, other = by_kind(before), by_kind(after)
    moved = {kind for kind in one if _hash(one[kind]) != _hash(other[kind])}
    assert moved == {kind for kind in one if one[kind] != other[kind]}
    return moved


def _hash(manifest: Manifest) -> str:
    return str(manifest["metadata"]["annotations"][names.APPLIED_HASH_ANNOTATION])


def test_no_image_is_told_and_never_guessed() -> None:
    none = BuildContext(images=Images(sidecar="envoy", engines={"vllm": {"0.31.0": "old"}}), operator_namespace="x")
    (problem,) = validate(model_deployment(), none)
    assert problem.reason == "NoEngineImage"
    assert "it has: 0.31.0" in problem.message
    assert "set spec.engine.image" in problem.message
    with pytest.raises(ValueError, match="no image for vllm"):
        build(model_deployment(), none)
    own = model_deployment({"engine": {"image": "mine"}})
    assert validate(own, none) == []
    assert engine_container(build(own, none))["image"] == "mine"


def test_an_unknown_version_is_one_problem() -> None:
    unknown = model_deployment({"engine": {"version": "0.1.0"}})
    assert [problem.reason for problem in validate(unknown, CONTEXT)] == ["UnsupportedEngineVersion"]
    with pytest.raises(ValueError, match=r"flags of vllm 0\.1\.0"):
        build(model_deployment({"engine": {"version": "0.1.0", "image": "mine"}}), CONTEXT)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/model",
        "hf://org",
        "hf://org/model/more",
        "hf://org/model@main",
        "hf://org/../model",
        "hf://or--g/model",
        "hf://org/model\n",
        "pvc://",
        "pvc:///a",
        "pvc://Claim",
        "pvc://a/../b",
        "pvc://a/.",
        "pvc://a//b",
        "pvc://a/b c",
        "pvc://a/b\n",
    ],
)
def test_a_uri_that_only_a_changed_crd_would_let_through(uri: str) -> None:
    mdep = model_deployment({"model": {"uri": uri}})
    (problem,) = validate(mdep, CONTEXT)
    assert problem.reason == "InvalidSpec"
    with pytest.raises(ValueError, match=r"is not (pvc://CLAIM|hf://ORG/NAME)"):
        build(mdep, CONTEXT)
