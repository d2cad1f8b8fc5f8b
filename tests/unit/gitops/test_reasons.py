"""What GitOps tools say of a ModelDeployment: one row for each reason that it may give, from the operator's own status."""

import copy
import dataclasses
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fairlead.api.conditions import ConditionType, Reason
from fairlead.reconciler.conditions import Verdict
from fairlead.reconciler.pods import PodView
from fairlead.reconciler.status import Facts, desired
from fairlead.resources.engine_flags.validate import Problem
from tests.gitops.verdicts import verdict

Object = dict[str, Any]

GENERATION = 3
NOW = "2026-01-01T00:00:00Z"
DEADLINE_SECONDS = 960
DOCS = Path(__file__).parents[3] / "docs" / "gitops.md"

GOOD = ("Current", "Healthy")
WAIT = ("InProgress", "Progressing")
BAD = ("Failed", "Degraded")


class Row(NamedTuple):
    """The verdict while it is new, and after a replica that has served has been gone for longer than a start may take."""

    new: tuple[str, str]
    long: tuple[str, str] | None = None


#: Of replicas that are missing. In a rollout that took too long each of them is BAD (see below).
REPLICAS = {
    # A registry, a claim, a Secret, a quota: Kubernetes goes on trying, and after the time of a start it is somebody's turn.
    Reason.IMAGE_PULL_FAILED: Row(WAIT, BAD),
    Reason.CONTAINER_CONFIG_INVALID: Row(WAIT, BAD),
    Reason.CLAIM_NOT_FOUND: Row(WAIT, BAD),
    Reason.KEY_SET_NOT_FOUND: Row(WAIT, BAD),
    Reason.MODEL_PATH_NOT_FOUND: Row(WAIT, BAD),
    Reason.HUB_TOKEN_MISSING: Row(WAIT, BAD),
    Reason.HUB_UNREACHABLE: Row(WAIT, BAD),
    Reason.DOWNLOAD_INTERRUPTED: Row(WAIT, BAD),
    Reason.DOWNLOAD_FAILED: Row(WAIT, BAD),
    # Nothing that is tried again helps.
    Reason.IMAGE_INVALID: Row(BAD, BAD),
    Reason.MODEL_VOLUME_FULL: Row(BAD, BAD),
    Reason.HUB_TOKEN_REQUIRED: Row(BAD, BAD),
    Reason.HUB_TOKEN_REFUSED: Row(BAD, BAD),
    Reason.HUB_ACCESS_DENIED: Row(BAD, BAD),
    Reason.MODEL_NOT_FOUND: Row(BAD, BAD),
    Reason.MODEL_REVISION_NOT_FOUND: Row(BAD, BAD),
    Reason.MODEL_WITHOUT_SAFETENSORS: Row(BAD, BAD),
    # Something else may come: a node, a GPU that is free again, another pod.
    Reason.REPLICAS_UNAVAILABLE: Row(WAIT, WAIT),
    Reason.POD_STARTING: Row(WAIT, WAIT),
    Reason.MODEL_DOWNLOADING: Row(WAIT, WAIT),
    Reason.UNSCHEDULABLE: Row(WAIT, WAIT),
    Reason.CLAIM_NOT_BOUND: Row(WAIT, WAIT),
    Reason.ENGINE_CRASH_LOOPING: Row(WAIT, WAIT),
    Reason.ENGINE_OUT_OF_MEMORY: Row(WAIT, WAIT),
    Reason.SIDECAR_FAILED: Row(WAIT, WAIT),
    Reason.POD_FAILED: Row(WAIT, WAIT),
    Reason.AGENT_UNREACHABLE: Row(WAIT, WAIT),
    Reason.GPU_MEMORY_INSUFFICIENT: Row(WAIT, WAIT),
    Reason.GPU_NOT_FOUND: Row(WAIT, WAIT),
    Reason.NVML_UNAVAILABLE: Row(WAIT, WAIT),
    Reason.NVML_HUNG: Row(WAIT, WAIT),
    Reason.ECC_UNCORRECTED: Row(WAIT, WAIT),
    Reason.XID_FATAL: Row(WAIT, WAIT),
    Reason.GPU_MEMORY_BELOW_FLOOR: Row(WAIT, WAIT),
    Reason.ENGINE_ALLOCATION_MISSING: Row(WAIT, WAIT),
    Reason.ENGINE_STARTING: Row(WAIT, WAIT),
    Reason.WARMUP_RUNNING: Row(WAIT, WAIT),
    Reason.WARMUP_FAILED: Row(WAIT, WAIT),
    Reason.ENGINE_UNREACHABLE: Row(WAIT, WAIT),
    Reason.ENGINE_STALLED: Row(WAIT, WAIT),
    Reason.ENGINE_EXITED: Row(WAIT, WAIT),
    Reason.STARTUP_DEADLINE_EXCEEDED: Row(WAIT, WAIT),
    Reason.DRAINING: Row(WAIT, WAIT),
}

#: Of a spec that was not turned into children: nobody but its author can help.
SPEC = {
    Reason.UNKNOWN_ENGINE_FLAG: Row(BAD),
    Reason.INVALID_ENGINE_FLAG_VALUE: Row(BAD),
    Reason.REFUSED_ENGINE_FLAG: Row(BAD),
    Reason.UNSUPPORTED_ENGINE_VERSION: Row(BAD),
    Reason.NO_ENGINE_IMAGE: Row(BAD),
    Reason.INVALID_KEY_SET: Row(BAD),
    Reason.INVALID_HUB_ENDPOINT: Row(BAD),
    Reason.INVALID_SPEC: Row(BAD),
    Reason.NAME_CONFLICT: Row(BAD),
    Reason.APPLY_FAILED: Row(BAD),
}

#: Of a course of events, with the facts that lead to it.
COURSE = {
    Reason.READY: Row(GOOD),
    Reason.SCALED_TO_ZERO: Row(GOOD),
    Reason.ROLLOUT_IN_PROGRESS: Row(WAIT),
    Reason.SCALING: Row(WAIT),
    Reason.TERMINATING: Row(WAIT),
    Reason.NO_SPARE_GPU: Row(BAD),
    Reason.QUOTA_EXCEEDED: Row(WAIT, BAD),
    Reason.POD_REFUSED: Row(WAIT, BAD),
    Reason.PROGRESS_DEADLINE_EXCEEDED: Row(BAD),
}

#: Reasons of conditions other than Ready, on an object of which nothing is wrong.
BESIDE = {
    Reason.CONFIGURATION_VALID: Row(GOOD),
    Reason.REPLICAS_AVAILABLE: Row(GOOD),
    Reason.ROLLOUT_COMPLETE: Row(GOOD),
    Reason.NOT_STALLED: Row(GOOD),
    Reason.MODEL_DOWNLOADED: Row(GOOD),
    Reason.MODEL_REVISIONS_DIFFER: Row(GOOD),
}

#: Reasons of Autoscaled. What the replicas serve is as it was: no reason to hold a rollout back, nor to call it a failure.
AUTOSCALED = {
    Reason.DEMAND_FOLLOWED: Row(GOOD),
    Reason.RECOMMENDED_ONLY: Row(GOOD),
    Reason.NO_CAPACITY: Row(GOOD),
    Reason.AT_MAXIMUM: Row(GOOD),
    Reason.QUEUE_WITHOUT_WORK: Row(GOOD),
    Reason.METRICS_MISSING: Row(GOOD),
    Reason.METRICS_STALE: Row(GOOD),
    Reason.METRICS_INVALID: Row(GOOD),
    Reason.METRICS_PARTIAL: Row(GOOD),
}

TABLE = {**REPLICAS, **SPEC, **COURSE, **BESIDE, **AUTOSCALED}

BASE = Facts("chat", "default", GENERATION, wanted=2, served_name="chat", gpu="nvidia.com/gpu")
SHORT = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


def deployment(ready: int = 2, updated: int = 2, *, total: int = 2, wanted: int = 2, **conditions: str) -> Object:
    """A Deployment as its controller reports it; conditions as type=reason."""
    return {
        "metadata": {"generation": 1},
        "spec": {"replicas": wanted, "progressDeadlineSeconds": DEADLINE_SECONDS},
        "status": {
            "observedGeneration": 1,
            "replicas": total,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "updatedReplicas": updated,
            "conditions": [
                {"type": kind, "status": "True" if kind == "ReplicaFailure" else "False", "reason": reason, "message": reason}
                for kind, reason in conditions.items()
            ],
        },
    }


def pod(name: str, problem: Problem | None = None, *, template: str = "new", commit: str = "") -> PodView:
    ready = problem is None
    return PodView(name, template, ready=ready, terminating=False, problem=problem, address="", running_since="", commit=commit)


def given(**changes: Any) -> Facts:
    return dataclasses.replace(BASE, **changes)


WAITING = pod("b", Problem(Reason.UNSCHEDULABLE, SHORT))
SITUATIONS = {
    Reason.MODEL_DOWNLOADED: given(hub=True, deployment=deployment(), pods=[pod("a", commit="c0"), pod("b", commit="c0")]),
    Reason.MODEL_REVISIONS_DIFFER: given(hub=True, deployment=deployment(), pods=[pod("a", commit="c0"), pod("b", commit="c1")]),
    Reason.READY: given(deployment=deployment(), pods=[pod("a"), pod("b")]),
    Reason.SCALED_TO_ZERO: given(wanted=0, deployment=deployment(0, 0, total=0, wanted=0)),
    Reason.ROLLOUT_IN_PROGRESS: given(deployment=deployment(2, 1, total=3), pods=[pod("a"), pod("b")]),
    Reason.SCALING: given(deployment=deployment(3, 3, total=3), pods=[pod("a"), pod("b"), pod("c")]),
    Reason.TERMINATING: given(deleting=True, deployment=deployment(), pods=[pod("a"), pod("b")]),
    Reason.NO_SPARE_GPU: given(
        deployment=deployment(2, 1, total=3), pods=[pod("a", template="old"), pod("c", template="old"), WAITING]
    ),
    Reason.QUOTA_EXCEEDED: given(deployment=deployment(0, 0, total=0, ReplicaFailure="exceeded quota: gpus")),
    Reason.POD_REFUSED: given(deployment=deployment(0, 0, total=0, ReplicaFailure="denied by a policy")),
    Reason.PROGRESS_DEADLINE_EXCEEDED: given(deployment=deployment(0, Progressing="ProgressDeadlineExceeded")),
}


def facts_of(reason: Reason, progressing: str = "") -> Facts:
    """Facts that lead to the reason, and what the Deployment says of its progress."""
    if reason in SPEC:
        return given(invalid=[Problem(reason, "words")])
    if reason in AUTOSCALED:
        autoscaled = Verdict(reason is Reason.DEMAND_FOLLOWED, reason, "words")
        return dataclasses.replace(SITUATIONS[Reason.READY], autoscaled=autoscaled)
    if reason in BESIDE and reason not in SITUATIONS:
        return SITUATIONS[Reason.READY]
    if reason in REPLICAS:
        pods = [pod("a", Problem(reason, "words")), pod("b")]
        return given(deployment=deployment(1, Progressing=progressing), pods=pods)
    found = copy.deepcopy(SITUATIONS[reason])
    if progressing:
        assert found.deployment is not None
        found.deployment["status"]["conditions"].append({"type": "Progressing", "status": "True", "reason": progressing})
    return found


def shown(facts: Facts) -> Object:
    """The object, as the API server has it once the operator has written its status."""
    status = desired(facts, {}, NOW)
    metadata = {"name": "chat", "namespace": "default", "generation": GENERATION}
    return {"apiVersion": "serving.fairlead.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata, "status": status}


def condition(of: Object, kind: ConditionType) -> Object:
    found: Object = next(each for each in of["status"]["conditions"] if each["type"] == kind)
    return found


def test_the_table_has_every_reason() -> None:
    assert set(TABLE) == set(Reason), "a new reason needs a row: what shall Flux and Argo CD say of it?"


@pytest.mark.parametrize("reason", TABLE)
def test_at_first(reason: Reason) -> None:
    mdep = shown(facts_of(reason))
    if reason in BESIDE or reason in AUTOSCALED:
        assert reason in {each["reason"] for each in mdep["status"]["conditions"]}
    else:
        assert condition(mdep, ConditionType.READY)["reason"] == reason
    said = verdict(mdep)
    assert said.statuses == TABLE[reason].new
    ready = condition(mdep, ConditionType.READY)
    assert said.argocd.message == f"{ready['reason']}: {ready['message']}"


@pytest.mark.parametrize(("reason", "row"), [(reason, row) for reason, row in TABLE.items() if row.long])
def test_of_a_replica_that_has_served_and_has_been_gone_for_long(reason: Reason, row: Row) -> None:
    facts = facts_of(reason, "NewReplicaSetAvailable")
    mdep = shown(dataclasses.replace(facts, unavailable_seconds=DEADLINE_SECONDS + 1.0))
    assert verdict(mdep).statuses == row.long
    assert verdict(shown(dataclasses.replace(facts, unavailable_seconds=DEADLINE_SECONDS - 1.0))).statuses == row.new


@pytest.mark.parametrize("reason", REPLICAS)
def test_a_rollout_that_took_too_long_has_failed_whatever_the_reason(reason: Reason) -> None:
    assert verdict(shown(facts_of(reason, "ProgressDeadlineExceeded"))).statuses == BAD


def test_nothing_counts_before_the_operator_has_looked() -> None:
    mdep = shown(facts_of(Reason.READY))
    mdep["metadata"]["generation"] += 1
    said = verdict(mdep)
    assert said.statuses == WAIT
    assert said.argocd.message == "the operator has not looked at this generation yet"
    del mdep["status"]
    assert verdict(mdep).argocd.status == "Progressing"


def test_the_text_names_the_same_reasons() -> None:
    """docs/gitops.md has a table of verdicts; what it does not name waits."""
    rows = dict(re.findall(r"^\| (Healthy|Degraded|Degraded, after a while) +\|.*\| ([^|]*) \|$", DOCS.read_text(), re.MULTILINE))
    told = {verdict: set(re.findall(r"`(\w+)`", reasons)) for verdict, reasons in rows.items()}
    assert told == {
        "Healthy": {reason for reason, row in TABLE.items() if row.new == GOOD and reason not in {*BESIDE, *AUTOSCALED}},
        "Degraded": {reason for reason, row in TABLE.items() if row.new == BAD},
        "Degraded, after a while": {reason for reason, row in TABLE.items() if row.new == WAIT and row.long == BAD},
    }
