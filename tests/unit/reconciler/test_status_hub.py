"""The status of a ModelDeployment whose replicas download the model."""

import dataclasses
from typing import Any

import pytest

from fairlead.api.conditions import ConditionType, Reason
from fairlead.api.status import Status
from fairlead.reconciler.pods import PodView
from fairlead.reconciler.status import Facts, desired, verdicts
from fairlead.resources.engine_flags.validate import Problem

ONE, TWO = "1" * 40, "2" * 40
BYTES = "400 of 1000 bytes (40 %) of org/tiny at 111111111111"


def pod(name: str, commit: str = "", *, ready: bool = False, template: str = "new", terminating: bool = False) -> PodView:
    return PodView(name, template, ready, terminating, problem=None, address="10.0.0.1", running_since="", commit=commit)


def deployment(ready: int = 0, reason: str = "ReplicaSetUpdated") -> dict[str, Any]:
    return {
        "metadata": {"generation": 1},
        "spec": {"replicas": 2, "progressDeadlineSeconds": 960},
        "status": {
            "observedGeneration": 1,
            "replicas": 2,
            "updatedReplicas": 2,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": [{"type": "Progressing", "status": "True", "reason": reason}],
        },
    }


BASE = Facts(
    name="chat",
    namespace="ns",
    generation=1,
    wanted=2,
    served_name="chat",
    gpu="nvidia.com/gpu",
    hub=True,
    deployment=deployment(),
)


def facts(**changes: Any) -> Facts:
    return dataclasses.replace(BASE, **changes)


def told(reason: Reason, message: str = "words") -> Problem:
    return Problem(reason, message)


BOTH = [pod("a", ONE, ready=True), pod("b", ONE, ready=True)]

# what is seen -> ModelAvailable, its message
AVAILABLE: dict[str, tuple[Facts, str, str]] = {
    "nothing yet": (facts(), "-ReplicasUnavailable", "0/2 replicas have the model; the others have not begun to download"),
    "one downloads": (
        facts(pods=[pod("a"), pod("b", ONE)], agents={"a": told(Reason.MODEL_DOWNLOADING, BYTES)}),
        "-ModelDownloading",
        f"1/2 replicas have the model; a: ModelDownloading: {BYTES}",
    ),
    "a wrong token tells more than a download": (
        facts(
            pods=[pod("a"), pod("b")],
            agents={"a": told(Reason.MODEL_DOWNLOADING, BYTES), "b": told(Reason.HUB_TOKEN_REFUSED, "put a valid one there")},
        ),
        "-HubTokenRefused",
        f"0/2 replicas have the model; b: HubTokenRefused: put a valid one there; a: ModelDownloading: {BYTES}",
    ),
    "the volume is not there": (
        facts(pods=[dataclasses.replace(pod("a"), problem=told(Reason.CLAIM_NOT_BOUND))]),
        "-ClaimNotBound",
        "0/2 replicas have the model; a: ClaimNotBound: words",
    ),
    "the engines start": (
        facts(pods=[pod("a", ONE), pod("b", ONE)], agents={"a": told(Reason.ENGINE_STARTING), "b": told(Reason.ENGINE_STARTING)}),
        "+ModelDownloaded",
        f"2/2 replicas have the model, at {ONE}",
    ),
    "all serve": (facts(pods=BOTH, deployment=deployment(2)), "+ModelDownloaded", f"2/2 replicas have the model, at {ONE}"),
    "a branch has moved": (
        facts(pods=[pod("a", ONE, ready=True), pod("b", TWO, ready=True)], deployment=deployment(2)),
        "+ModelRevisionsDiffer",
        (
            f"2/2 replicas have the model, and not the same one (a: {ONE}; b: {TWO}): write a commit in spec.model.revision, "
            "which replaces them"
        ),
    ),
    "a rollout to another revision": (
        facts(pods=[pod("a", ONE, ready=True, template="old"), pod("b", TWO, ready=True)], deployment=deployment(2)),
        "+ModelDownloaded",
        f"2/2 replicas have the model, at {ONE}, {TWO}",
    ),
    "one that ends does not count": (
        facts(pods=[*BOTH, pod("c", TWO, terminating=True)], deployment=deployment(2)),
        "+ModelDownloaded",
        f"2/2 replicas have the model, at {ONE}",
    ),
    "stopped": (facts(wanted=0), "-ScaledToZero", "spec.replicas is 0: nothing is downloaded"),
}


@pytest.mark.parametrize(("seen", "mark", "message"), AVAILABLE.values(), ids=AVAILABLE)
def test_model_available(seen: Facts, mark: str, message: str) -> None:
    verdict = verdicts(seen)[ConditionType.MODEL_AVAILABLE]
    assert ("+" if verdict.status else "-") + verdict.reason == mark
    assert verdict.message == message


LASTING = {
    Reason.MODEL_VOLUME_FULL,
    Reason.HUB_TOKEN_REQUIRED,
    Reason.HUB_TOKEN_REFUSED,
    Reason.HUB_ACCESS_DENIED,
    Reason.MODEL_NOT_FOUND,
    Reason.MODEL_REVISION_NOT_FOUND,
    Reason.MODEL_WITHOUT_SAFETENSORS,
}
PASSING = {Reason.HUB_TOKEN_MISSING, Reason.HUB_UNREACHABLE, Reason.DOWNLOAD_INTERRUPTED, Reason.DOWNLOAD_FAILED}


@pytest.mark.parametrize("reason", [*sorted(LASTING), *sorted(PASSING)])
def test_each_reason_is_that_of_all_conditions_and_stalls_at_once_or_in_the_end(reason: Reason) -> None:
    seen = facts(pods=[pod("a"), pod("b")], agents={"a": told(reason), "b": told(reason)})
    now = verdicts(seen)
    assert now[ConditionType.STALLED].status is (reason in LASTING)
    for kind in (ConditionType.READY, ConditionType.MODEL_AVAILABLE, ConditionType.REPLICAS_AVAILABLE):
        assert (now[kind].status, now[kind].reason) == (False, reason)
    later = verdicts(dataclasses.replace(seen, deployment=deployment(reason="ProgressDeadlineExceeded")))
    assert (later[ConditionType.STALLED].status, later[ConditionType.STALLED].reason) == (True, reason)


def test_a_deadline_that_passes_while_bytes_arrive_is_nobody_s_turn() -> None:
    late = deployment(reason="ProgressDeadlineExceeded")
    arriving = {"a": told(Reason.MODEL_DOWNLOADING, BYTES)}
    seen = facts(pods=[pod("a")], agents=arriving, deployment=late, loading=True)
    assert verdicts(seen)[ConditionType.STALLED].reason is Reason.NOT_STALLED
    assert verdicts(seen)[ConditionType.PROGRESSING].status
    seen = facts(pods=[pod("a", ONE)], agents={"a": told(Reason.ENGINE_STARTING)}, deployment=late)
    assert verdicts(seen)[ConditionType.STALLED].reason is Reason.PROGRESS_DEADLINE_EXCEEDED


def test_without_a_hub_the_condition_is_not_there() -> None:
    status = desired(facts(hub=False, pods=BOTH), {}, "2026-01-01T00:00:00Z")
    assert "ModelAvailable" not in {each["type"] for each in status["conditions"]}


def test_the_commits_are_in_the_status() -> None:
    seen = facts(pods=[pod("a", TWO), pod("b", ONE), pod("c", ONE), pod("d")])
    status = desired(seen, {}, "2026-01-01T00:00:00Z")
    assert status["modelRevisions"] == [ONE, TWO]
    assert Status.model_validate(status).to_wire() == status
    assert "modelRevisions" not in desired(facts(), {}, "2026-01-01T00:00:00Z")
