"""The status of a ModelDeployment: one row per situation."""

import dataclasses
from typing import Any

import pytest

from fairlead.api.conditions import ConditionType, Reason
from fairlead.api.status import Status
from fairlead.reconciler.pods import PodView
from fairlead.reconciler.status import _TELLING, Facts, desired, verdicts
from fairlead.resources.engine_flags.validate import Problem

Object = dict[str, Any]


def deployment(
    replicas: int = 2, ready: int = 2, updated: int = 2, *, total: int | None = None, seen: int = 1, **conditions: str
) -> Object:
    """A Deployment of generation 1; conditions as type=reason."""
    return {
        "metadata": {"generation": 1},
        "spec": {"replicas": replicas, "progressDeadlineSeconds": 960},
        "status": {
            "observedGeneration": seen,
            "replicas": replicas if total is None else total,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "updatedReplicas": updated,
            "conditions": [
                {
                    "type": kind,
                    "status": "True" if kind == "ReplicaFailure" else "False",
                    "reason": reason,
                    "message": f"{reason} words",
                }
                for kind, reason in conditions.items()
            ],
        },
    }


def pod(
    name: str, reason: Reason | None = None, message: str = "", *, template: str = "new", terminating: bool = False
) -> PodView:
    problem = Problem(reason, message) if reason else None
    return PodView(
        name,
        template,
        # One that is ending serves on while its streams finish, and so is ready.
        ready=reason is None,
        terminating=terminating,
        problem=problem,
        address="",
        running_since="",
    )


SHORT = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
SPARE = "Add a GPU, or set spec.rollout.maxSurge: 0 and spec.rollout.maxUnavailable: 1"
BASE = Facts(name="chat", namespace="ns", generation=3, wanted=2, served_name="chat", gpu="nvidia.com/gpu")


def facts(**changes: Any) -> Facts:
    return dataclasses.replace(BASE, **changes)


# Ready, ConfigurationValid, ReplicasAvailable, Progressing, Stalled: + holds, - does not
SITUATIONS: dict[str, tuple[Facts, list[str], str]] = {
    "just made": (
        facts(),
        ["-ReplicasUnavailable", "+ConfigurationValid", "-ReplicasUnavailable", "+RolloutInProgress", "-NotStalled"],
        "0/2 ready; nothing has been created yet",
    ),
    "its Deployment not yet looked at": (
        facts(deployment=deployment(seen=0)),
        ["-RolloutInProgress", "+ConfigurationValid", "+ReplicasAvailable", "+RolloutInProgress", "-NotStalled"],
        "the Deployment has just been written",
    ),
    "all ready": (
        facts(deployment=deployment(), pods=[pod("a"), pod("b")]),
        ["+Ready", "+ConfigurationValid", "+ReplicasAvailable", "-RolloutComplete", "-NotStalled"],
        "2/2 ready, all with the present spec",
    ),
    "all ready, and no token needed": (
        facts(deployment=deployment(), pods=[pod("a"), pod("b")], open_to_cluster=True),
        ["+Ready", "+ConfigurationValid", "+ReplicasAvailable", "-RolloutComplete", "-NotStalled"],
        "2/2 ready, all with the present spec; open to every pod of the cluster, as spec.access is not set",
    ),
    "scaled to zero": (
        facts(wanted=0, deployment=deployment(0, 0, 0)),
        ["+ScaledToZero", "+ConfigurationValid", "+ScaledToZero", "-RolloutComplete", "-NotStalled"],
        "spec.replicas is 0: nothing serves, as asked for",
    ),
    "starting": (
        facts(deployment=deployment(ready=0), pods=[pod("a", Reason.POD_STARTING, "x"), pod("b", Reason.POD_STARTING, "y")]),
        ["-PodStarting", "+ConfigurationValid", "-PodStarting", "+Scaling", "-NotStalled"],
        "0/2 ready; a: PodStarting: x; b: PodStarting: y",
    ),
    "the most telling pod first": (
        facts(
            deployment=deployment(ready=0),
            pods=[pod("a", Reason.POD_STARTING, "x"), pod("b")],
            agents={"a": Problem(Reason.XID_FATAL, "GPU-1 Xid 79")},
        ),
        ["-XidFatal", "+ConfigurationValid", "-XidFatal", "-RolloutComplete", "-NotStalled"],
        "0/2 ready; a: XidFatal: GPU-1 Xid 79",
    ),
    "many pods with the same trouble": (
        facts(wanted=5, deployment=deployment(5, 0, 5), pods=[pod(name, Reason.POD_STARTING) for name in "abcde"]),
        ["-PodStarting", "+ConfigurationValid", "-PodStarting", "+Scaling", "-NotStalled"],
        "0/5 ready; a: PodStarting; b: PodStarting; c: PodStarting; and 2 more",
    ),
    "a replica has a fault": (
        facts(deployment=deployment(ready=1), pods=[pod("a"), pod("b", Reason.ENGINE_STALLED, "no token")]),
        ["-EngineStalled", "+ConfigurationValid", "-EngineStalled", "-RolloutComplete", "-NotStalled"],
        "1/2 ready; b: EngineStalled: no token",
    ),
    "an image cannot be pulled yet": (
        facts(
            deployment=deployment(ready=1, updated=1, total=3),
            pods=[pod("a", template="old"), pod("b", Reason.IMAGE_PULL_FAILED, "no image")],
            unavailable_seconds=10_000,  # by an earlier spec
        ),
        ["-ImagePullFailed", "+ConfigurationValid", "-ImagePullFailed", "+RolloutInProgress", "-NotStalled"],
        "1/2 ready; b: ImagePullFailed: no image",
    ),
    "an image has no name": (
        facts(deployment=deployment(ready=1, updated=1, total=3), pods=[pod("b", Reason.IMAGE_INVALID, "no name")]),
        ["-ImageInvalid", "+ConfigurationValid", "-ImageInvalid", "-ImageInvalid", "+ImageInvalid"],
        "b: ImageInvalid: no name",
    ),
    "an image cannot be pulled": (
        facts(
            deployment=deployment(ready=1, updated=1, total=3, Progressing="ProgressDeadlineExceeded"),
            pods=[pod("a", template="old"), pod("b", Reason.IMAGE_PULL_FAILED, "no image")],
        ),
        ["-ImagePullFailed", "+ConfigurationValid", "-ImagePullFailed", "-ImagePullFailed", "+ImagePullFailed"],
        "b: ImagePullFailed: no image",
    ),
    "rolling": (
        facts(
            deployment=deployment(updated=1, total=3),
            pods=[pod("a", template="old"), pod("b", template="old"), pod("c", Reason.ENGINE_STARTING)],
        ),
        ["-RolloutInProgress", "+ConfigurationValid", "+ReplicasAvailable", "+RolloutInProgress", "-NotStalled"],
        "1 of 2 replicas run the present spec, 2 serve",
    ),
    "rolling, and the image of the present spec cannot be pulled": (
        facts(
            deployment=deployment(updated=1, total=3),
            pods=[pod("a", template="old"), pod("b", template="old"), pod("c", Reason.IMAGE_PULL_FAILED, "no image")],
        ),
        ["-ImagePullFailed", "+ConfigurationValid", "+ReplicasAvailable", "+RolloutInProgress", "-NotStalled"],
        "1 of 2 replicas run the present spec, 2 serve; c: ImagePullFailed: no image",
    ),
    "no spare GPU": (
        facts(
            deployment=deployment(updated=1, total=3),
            pods=[pod("a", template="old"), pod("b", template="old"), pod("c", Reason.UNSCHEDULABLE, SHORT)],
        ),
        ["-NoSpareGPU", "+ConfigurationValid", "+ReplicasAvailable", "-NoSpareGPU", "+NoSpareGPU"],
        f"c: NoSpareGPU: the rollout needs one nvidia.com/gpu more than the cluster has free ({SHORT}). {SPARE}",
    ),
    "no spare GPU, but one is about to be freed": (
        facts(
            deployment=deployment(updated=1, total=3),
            pods=[pod("a", template="old"), pod("b", template="old", terminating=True), pod("c", Reason.UNSCHEDULABLE, SHORT)],
        ),
        ["-RolloutInProgress", "+ConfigurationValid", "+ReplicasAvailable", "+RolloutInProgress", "-NotStalled"],
        "1 of 2 replicas run the present spec, 2 serve",
    ),
    "no spare GPU, but one has been given up for the new pod": (
        facts(
            deployment=deployment(ready=1, updated=1, total=2),
            pods=[pod("a", template="old"), pod("c", Reason.UNSCHEDULABLE, SHORT)],
        ),
        ["-Unschedulable", "+ConfigurationValid", "-Unschedulable", "+RolloutInProgress", "-NotStalled"],
        f"1/2 ready; c: Unschedulable: {SHORT}",
    ),
    "no GPU for a replica more": (
        facts(wanted=3, deployment=deployment(3, 2, 3), pods=[pod("a"), pod("b"), pod("c", Reason.UNSCHEDULABLE, SHORT)]),
        ["-Unschedulable", "+ConfigurationValid", "-Unschedulable", "-RolloutComplete", "-NotStalled"],
        f"2/3 ready; c: Unschedulable: {SHORT}",
    ),
    "no progress": (
        facts(
            deployment=deployment(ready=0, Progressing="ProgressDeadlineExceeded"),
            pods=[pod("a", Reason.ENGINE_CRASH_LOOPING, "exit 1")],
        ),
        [
            "-ProgressDeadlineExceeded",
            "+ConfigurationValid",
            "-EngineCrashLooping",
            "-ProgressDeadlineExceeded",
            "+ProgressDeadlineExceeded",
        ],
        "no replica of the present spec became ready in time; a: EngineCrashLooping: exit 1",
    ),
    **{
        f"{reason} at first": (
            facts(deployment=deployment(ready=0), pods=[pod("a", reason, "x")]),
            [f"-{reason}", "+ConfigurationValid", f"-{reason}", "-RolloutComplete", "-NotStalled"],
            f"0/2 ready; a: {reason}: x",
        )
        for reason in (Reason.CLAIM_NOT_FOUND, Reason.KEY_SET_NOT_FOUND, Reason.CONTAINER_CONFIG_INVALID)
    },
    "a quota for now": (
        facts(deployment=deployment(ready=0, total=0, updated=0, ReplicaFailure="FailedCreate: exceeded quota")),
        ["-QuotaExceeded", "+ConfigurationValid", "-QuotaExceeded", "+Scaling", "-NotStalled"],
        "0/2 ready; QuotaExceeded: FailedCreate: exceeded quota words",
    ),
    "a quota": (
        facts(
            deployment=deployment(
                ready=0,
                total=0,
                updated=0,
                ReplicaFailure="FailedCreate: exceeded quota",
                Progressing="ProgressDeadlineExceeded",
            )
        ),
        ["-QuotaExceeded", "+ConfigurationValid", "-QuotaExceeded", "-QuotaExceeded", "+QuotaExceeded"],
        "QuotaExceeded: FailedCreate: exceeded quota words",
    ),
    "a claim that went after the rollout": (
        facts(
            deployment=deployment(ready=1, Progressing="NewReplicaSetAvailable"),
            pods=[pod("a"), pod("b", Reason.CLAIM_NOT_FOUND, "x")],
            unavailable_seconds=960,
        ),
        ["-ClaimNotFound", "+ConfigurationValid", "-ClaimNotFound", "-RolloutComplete", "-NotStalled"],
        "1/2 ready; b: ClaimNotFound: x",
    ),
    "a claim that went after the rollout and does not come back": (
        facts(
            deployment=deployment(ready=1, Progressing="NewReplicaSetAvailable"),
            pods=[pod("a"), pod("b", Reason.CLAIM_NOT_FOUND, "x")],
            unavailable_seconds=961,
        ),
        ["-ClaimNotFound", "+ConfigurationValid", "-ClaimNotFound", "-ClaimNotFound", "+ClaimNotFound"],
        "b: ClaimNotFound: x",
    ),
    "pods refused": (
        facts(
            deployment=deployment(
                ready=0, total=0, updated=0, ReplicaFailure="FailedCreate", Progressing="ProgressDeadlineExceeded"
            )
        ),
        ["-PodRefused", "+ConfigurationValid", "-PodRefused", "-PodRefused", "+PodRefused"],
        "PodRefused: FailedCreate words",
    ),
    "invalid, and the last good replicas serve": (
        facts(
            invalid=[Problem(Reason.UNKNOWN_ENGINE_FLAG, "a"), Problem(Reason.REFUSED_ENGINE_FLAG, "b")], deployment=deployment()
        ),
        ["-UnknownEngineFlag", "-UnknownEngineFlag", "+ReplicasAvailable", "-UnknownEngineFlag", "+UnknownEngineFlag"],
        "a; b",
    ),
    "invalid from the beginning": (
        facts(invalid=[Problem(Reason.NAME_CONFLICT, "a")]),
        ["-NameConflict", "-NameConflict", "-ReplicasUnavailable", "-NameConflict", "+NameConflict"],
        "a",
    ),
    "being deleted": (
        facts(deleting=True, deployment=deployment()),
        ["-Terminating", "+ConfigurationValid", "+ReplicasAvailable", "-Terminating", "-NotStalled"],
        "the ModelDeployment is being deleted",
    ),
    "agent ready before the kubelet has asked": (
        facts(
            deployment=deployment(ready=1),
            pods=[pod("a"), pod("b", Reason.POD_STARTING)],
            agents={"b": Problem(Reason.READY, "")},
        ),
        ["-PodStarting", "+ConfigurationValid", "-PodStarting", "+Scaling", "-NotStalled"],
        "1/2 ready; b: PodStarting: the agent is ready; the kubelet has not asked it again yet",
    ),
}


@pytest.mark.parametrize(("seen", "marks", "message"), SITUATIONS.values(), ids=SITUATIONS)
def test_situations(seen: Facts, marks: list[str], message: str) -> None:
    told = verdicts(seen)
    assert list(told) == [each for each in ConditionType if each not in (ConditionType.MODEL_AVAILABLE, ConditionType.AUTOSCALED)]
    assert [("+" if each.status else "-") + each.reason for each in told.values()] == marks
    assert told[ConditionType.READY].message == message


def test_every_reason_of_an_agent_or_a_pod_has_a_rank() -> None:
    """Or the first fault of a new kind would end a visit."""
    conditions_of_the_whole = {
        *(Reason.READY, Reason.CONFIGURATION_VALID, Reason.REPLICAS_AVAILABLE, Reason.SCALED_TO_ZERO, Reason.ROLLOUT_COMPLETE),
        *(Reason.NOT_STALLED, Reason.ROLLOUT_IN_PROGRESS, Reason.SCALING, Reason.TERMINATING, Reason.UNKNOWN_ENGINE_FLAG),
        *(
            Reason.INVALID_ENGINE_FLAG_VALUE,
            Reason.REFUSED_ENGINE_FLAG,
            Reason.UNSUPPORTED_ENGINE_VERSION,
            Reason.NO_ENGINE_IMAGE,
        ),
        *(
            Reason.INVALID_KEY_SET,
            Reason.INVALID_HUB_ENDPOINT,
            Reason.MODEL_DOWNLOADED,
            Reason.MODEL_REVISIONS_DIFFER,
            Reason.INVALID_SPEC,
            Reason.NAME_CONFLICT,
            Reason.APPLY_FAILED,
            Reason.PROGRESS_DEADLINE_EXCEEDED,
        ),
        *(Reason.DEMAND_FOLLOWED, Reason.RECOMMENDED_ONLY, Reason.NO_CAPACITY, Reason.AT_MAXIMUM, Reason.QUEUE_WITHOUT_WORK),
        *(Reason.METRICS_MISSING, Reason.METRICS_STALE, Reason.METRICS_INVALID, Reason.METRICS_PARTIAL),
    }
    assert set(_TELLING) == set(Reason) - conditions_of_the_whole
    assert len(_TELLING) == len(set(_TELLING))


def test_the_whole_status_is_one_that_the_api_knows() -> None:
    seen = facts(deployment=deployment(), pods=[pod("a"), pod("b"), pod("c", terminating=True)])
    status = desired(seen, {}, "2026-01-01T00:00:00Z")
    assert Status.model_validate(status).to_wire() == status
    assert (status["availability"], status["terminatingReplicas"], status["url"]) == ("2/2", 1, "http://chat.ns.svc")


def test_the_time_of_a_condition_moves_only_with_its_status() -> None:
    first = desired(facts(), {}, "2026-01-01T00:00:00Z")
    again = desired(facts(generation=4, deployment=deployment()), first, "2026-01-02T00:00:00Z")
    times = {each["type"]: each["lastTransitionTime"][:10] for each in again["conditions"]}
    assert times == {
        "Ready": "2026-01-02",
        "ConfigurationValid": "2026-01-01",
        "ReplicasAvailable": "2026-01-02",
        "Progressing": "2026-01-02",
        "Stalled": "2026-01-01",
    }
    assert {each["observedGeneration"] for each in again["conditions"]} == {4}


def test_a_spec_that_cannot_be_read_keeps_the_name() -> None:
    previous = {"servedName": "org/model"}
    assert desired(facts(served_name=""), previous, "2026-01-01T00:00:00Z")["servedName"] == "org/model"
    assert "servedName" not in desired(facts(served_name=""), {}, "2026-01-01T00:00:00Z")
