"""The status of a ModelDeployment, from what was seen. Pure: the time is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fairlead.api.conditions import OF_DOWNLOADS, ConditionType, Reason
from fairlead.reconciler import conditions
from fairlead.reconciler.conditions import Verdict
from fairlead.reconciler.pods import PodView, hindrance, short_of
from fairlead.reconciler.words import bounded
from fairlead.resources.engine_flags.validate import Problem
from fairlead.resources.names import MODEL_DEPLOYMENT_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TELLING: Sequence[Reason] = (
    # Faults of a replica that has served.
    Reason.XID_FATAL,
    Reason.ECC_UNCORRECTED,
    Reason.NVML_HUNG,
    Reason.NVML_UNAVAILABLE,
    Reason.GPU_NOT_FOUND,
    Reason.GPU_MEMORY_BELOW_FLOOR,
    Reason.ENGINE_ALLOCATION_MISSING,
    Reason.ENGINE_STALLED,
    Reason.ENGINE_UNREACHABLE,
    # What keeps a replica from starting.
    Reason.CONTAINER_CONFIG_INVALID,
    Reason.IMAGE_INVALID,
    Reason.IMAGE_PULL_FAILED,
    Reason.CLAIM_NOT_FOUND,
    Reason.CLAIM_NOT_BOUND,
    Reason.KEY_SET_NOT_FOUND,
    Reason.MODEL_PATH_NOT_FOUND,
    Reason.MODEL_VOLUME_FULL,
    Reason.HUB_TOKEN_MISSING,
    Reason.HUB_TOKEN_REQUIRED,
    Reason.HUB_TOKEN_REFUSED,
    Reason.HUB_ACCESS_DENIED,
    Reason.MODEL_NOT_FOUND,
    Reason.MODEL_REVISION_NOT_FOUND,
    Reason.MODEL_WITHOUT_SAFETENSORS,
    Reason.HUB_UNREACHABLE,
    Reason.DOWNLOAD_INTERRUPTED,
    Reason.DOWNLOAD_FAILED,
    Reason.ENGINE_OUT_OF_MEMORY,
    Reason.STARTUP_DEADLINE_EXCEEDED,
    Reason.ENGINE_CRASH_LOOPING,
    Reason.SIDECAR_FAILED,
    Reason.ENGINE_EXITED,
    Reason.WARMUP_FAILED,
    Reason.GPU_MEMORY_INSUFFICIENT,
    Reason.NO_SPARE_GPU,
    Reason.UNSCHEDULABLE,
    Reason.QUOTA_EXCEEDED,
    Reason.POD_REFUSED,
    Reason.AGENT_UNREACHABLE,
    # What passes by itself.
    Reason.WARMUP_RUNNING,
    Reason.ENGINE_STARTING,
    Reason.MODEL_DOWNLOADING,
    Reason.POD_STARTING,
    Reason.DRAINING,
    Reason.REPLICAS_UNAVAILABLE,
    Reason.POD_FAILED,
)
"""The reasons that a replica may have, the most telling in front: that of the first one is the condition's."""

_WAITS_FOR_PEOPLE = frozenset(
    {
        Reason.IMAGE_INVALID,
        Reason.NO_SPARE_GPU,
        Reason.MODEL_VOLUME_FULL,
        Reason.HUB_TOKEN_REQUIRED,
        Reason.HUB_TOKEN_REFUSED,
        Reason.HUB_ACCESS_DENIED,
        Reason.MODEL_NOT_FOUND,
        Reason.MODEL_REVISION_NOT_FOUND,
        Reason.MODEL_WITHOUT_SAFETENSORS,
    }
)
"""Trying again changes nothing about these."""
_MAY_WAIT_FOR_PEOPLE = frozenset(
    {
        Reason.CONTAINER_CONFIG_INVALID,
        Reason.IMAGE_PULL_FAILED,
        Reason.CLAIM_NOT_FOUND,
        Reason.KEY_SET_NOT_FOUND,
        Reason.MODEL_PATH_NOT_FOUND,
        Reason.QUOTA_EXCEEDED,
        Reason.POD_REFUSED,
        Reason.HUB_TOKEN_MISSING,
        Reason.HUB_UNREACHABLE,
        Reason.DOWNLOAD_INTERRUPTED,
        Reason.DOWNLOAD_FAILED,
    }
)
"""Kubernetes tries these again by itself: a registry comes back, a claim is applied a moment later. Only when the time for a
rollout is over is it somebody's turn; tools take Stalled for a failure."""
_PASSES = frozenset({Reason.MODEL_DOWNLOADING, Reason.POD_STARTING, Reason.ENGINE_STARTING, Reason.WARMUP_RUNNING})
_OPEN = "; open to every pod of the cluster, as spec.access is not set"
_COMMITS = 16
"""As many as the schema takes."""
_NAMED_PODS = 3
"""Pods whose reason the message names; more say the same, mostly."""


@dataclass(frozen=True)
class Facts:
    """What was seen of one ModelDeployment."""

    name: str
    namespace: str
    generation: int
    wanted: int
    """Replicas that should serve."""
    served_name: str
    """Empty where the spec cannot be read: the last one stays."""
    gpu: str
    """Name of the GPU resource."""
    open_to_cluster: bool = False
    """Whether requests need no token."""
    deleting: bool = False
    invalid: Sequence[Problem] = ()
    """Why the spec was not turned into children, or not into all of them."""
    deployment: Mapping[str, Any] | None = None
    pods: Sequence[PodView] = ()
    agents: Mapping[str, Problem] = field(default_factory=dict)
    """What agents say, by pod name."""
    hub: bool = False
    """Whether replicas download the model."""
    loading: bool = False
    """Whether a replica downloads, and bytes arrive, or has its model and is still within the time of a start."""
    unavailable_seconds: float = 0.0
    """How long fewer replicas than wanted have served, by the status."""
    autoscaling: Mapping[str, Any] | None = None
    """status.autoscaling, where a number of replicas is decided on."""
    autoscaled: Verdict | None = None


def desired(facts: Facts, previous: Mapping[str, Any], now: str) -> dict[str, Any]:
    """The whole status as it should be; `previous` is the one that is there, `now` an RFC 3339 time."""
    counts = _counts(facts)
    status: dict[str, Any] = {
        "observedGeneration": facts.generation,
        "conditions": conditions.rendered(verdicts(facts), previous.get("conditions") or [], facts.generation, now),
        **counts,
        "terminatingReplicas": sum(pod.terminating for pod in facts.pods),
        "availability": f"{counts['readyReplicas']}/{facts.wanted}",
        "selector": f"{MODEL_DEPLOYMENT_LABEL}={facts.name}",
        "url": f"http://{facts.name}.{facts.namespace}.svc",
    }
    if commits := sorted({pod.commit for pod in facts.pods if pod.commit}):
        status["modelRevisions"] = commits[:_COMMITS]
    if served_name := facts.served_name or previous.get("servedName"):
        status["servedName"] = served_name
    if facts.autoscaling:
        status["autoscaling"] = facts.autoscaling
    return status


def verdicts(facts: Facts) -> dict[ConditionType, Verdict]:
    """What each condition says."""
    blockers = _blockers(facts)
    valid = (
        Verdict(status=False, reason=facts.invalid[0].reason, message="; ".join(each.message for each in facts.invalid))
        if facts.invalid
        else Verdict(status=True, reason=Reason.CONFIGURATION_VALID, message="the spec was checked; nothing is wrong with it")
    )
    available = _available(facts, blockers)
    stalled = _stalled(facts, blockers, valid)
    progressing = _progressing(facts, blockers, stalled)
    return {
        ConditionType.READY: _ready(facts, blockers, available, progressing, stalled),
        ConditionType.CONFIGURATION_VALID: valid,
        **({ConditionType.MODEL_AVAILABLE: _model(facts, blockers)} if facts.hub else {}),
        ConditionType.REPLICAS_AVAILABLE: available,
        ConditionType.PROGRESSING: progressing,
        **({ConditionType.AUTOSCALED: facts.autoscaled} if facts.autoscaled else {}),
        ConditionType.STALLED: stalled,
    }


def _counts(facts: Facts) -> dict[str, int]:
    seen = (facts.deployment or {}).get("status") or {}
    return {key: seen.get(key) or 0 for key in ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")}


def _deployment_condition(facts: Facts, kind: str) -> Mapping[str, Any]:
    seen = ((facts.deployment or {}).get("status") or {}).get("conditions") or []
    return next((each for each in seen if each["type"] == kind), {})


def _up_to_date(facts: Facts) -> bool:
    """Whether the Deployment's counts are about its present spec."""
    deployment = facts.deployment or {}
    generation = (deployment.get("metadata") or {}).get("generation", 0)
    return bool((deployment.get("status") or {}).get("observedGeneration", -1) >= generation)


def _complete(facts: Facts) -> bool:
    """Whether all wanted replicas, and no others, run the present spec."""
    counts = _counts(facts)
    return facts.deployment is not None and _up_to_date(facts) and counts["replicas"] == counts["updatedReplicas"] == facts.wanted


def _blockers(facts: Facts) -> list[tuple[str, Problem]]:
    """Why replicas are missing, by pod name, the most telling first."""
    found: list[tuple[str, Problem]] = []
    for pod in facts.pods:
        if pod.ready or pod.terminating:
            continue
        problem = hindrance(pod, facts.agents.get(pod.name))
        if problem is not None:
            found.append((pod.name, problem))
    spare = _no_spare(facts)
    if spare:
        found = [(name, problem) for name, problem in found if name != spare[0]]
        found.append(spare)
    found += [("", problem) for problem in _refused(facts)]
    return sorted(found, key=lambda each: (_TELLING.index(each[1].reason), each[0]))


def _no_spare(facts: Facts) -> tuple[str, Problem] | None:
    """A rollout's additional pod finds no GPU while every wanted replica serves, so that none is going to be free.

    Pods that are ending are about to free theirs, and with fewer serving than wanted one has been given up for the new pod:
    then it is a matter of the scheduler's next look.
    """
    if any(pod.terminating for pod in facts.pods):
        return None
    waiting = [pod for pod in facts.pods if short_of(pod, facts.gpu)]
    others = [pod for pod in facts.pods if pod not in waiting]
    serving = {pod.template for pod in others if pod.ready}
    additional = waiting and len(others) >= max(facts.wanted, 1) and not all(pod.template in serving for pod in waiting)
    if not additional or not all(pod.ready for pod in others):
        return None
    pod = waiting[0]
    assert pod.problem is not None  # noqa: S101 - short_of() has just looked at it
    return pod.name, Problem(
        Reason.NO_SPARE_GPU,
        f"the rollout needs one {facts.gpu} more than the cluster has free ({pod.problem.message}). "
        "Add a GPU, or set spec.rollout.maxSurge: 0 and spec.rollout.maxUnavailable: 1",
    )


def _refused(facts: Facts) -> list[Problem]:
    """Why the ReplicaSet could not even create pods."""
    failure = _deployment_condition(facts, "ReplicaFailure")
    if failure.get("status") != "True":
        return []
    message = failure.get("message", "")
    return [Problem(Reason.QUOTA_EXCEEDED if "exceeded quota" in message else Reason.POD_REFUSED, bounded(message))]


def _told(blockers: Sequence[tuple[str, Problem]]) -> str:
    """The reasons of the first few pods, in words."""
    words = [
        ": ".join(filter(None, (name, problem.reason.value, problem.message))).rstrip(": ")
        for name, problem in blockers[:_NAMED_PODS]
    ]
    more = len(blockers) - _NAMED_PODS
    return "; ".join(words) + (f"; and {more} more" if more > 0 else "")


def _available(facts: Facts, blockers: Sequence[tuple[str, Problem]]) -> Verdict:
    ready = _counts(facts)["readyReplicas"]
    if facts.deployment is not None and facts.wanted == 0:
        return Verdict(status=True, reason=Reason.SCALED_TO_ZERO, message="spec.replicas is 0")
    if facts.deployment is not None and ready >= facts.wanted:
        return Verdict(status=True, reason=Reason.REPLICAS_AVAILABLE, message=f"{ready}/{facts.wanted} ready")
    reason = blockers[0][1].reason if blockers else Reason.REPLICAS_UNAVAILABLE
    told = _told(blockers) or ("no pods yet" if facts.deployment else "nothing has been created yet")
    return Verdict(status=False, reason=reason, message=f"{ready}/{facts.wanted} ready; {told}")


def _model(facts: Facts, blockers: Sequence[tuple[str, Problem]]) -> Verdict:
    """Whether every replica that there is has the model, and all of one spec the same."""
    there = [pod for pod in facts.pods if not pod.terminating]
    have = [pod for pod in there if pod.commit]
    count = f"{len(have)}/{facts.wanted} replicas have the model"
    lacking = [each for each in blockers if each[1].reason in OF_DOWNLOADS]
    if lacking:
        return Verdict(status=False, reason=lacking[0][1].reason, message=f"{count}; {_told(lacking)}")
    if len(have) < len(there) or not have:
        if facts.wanted == 0 and not there:
            return Verdict(status=False, reason=Reason.SCALED_TO_ZERO, message="spec.replicas is 0: nothing is downloaded")
        reason = blockers[0][1].reason if blockers else Reason.REPLICAS_UNAVAILABLE
        return Verdict(
            status=False, reason=reason, message=f"{count}; {_told(blockers) or 'the others have not begun to download'}"
        )
    by_template: dict[str, set[str]] = {}
    for pod in have:
        by_template.setdefault(pod.template, set()).add(pod.commit)
    different = next((commits for commits in by_template.values() if len(commits) > 1), None)
    if different:
        told = "; ".join(f"{pod.name}: {pod.commit}" for pod in have[:_NAMED_PODS])
        return Verdict(
            status=True,
            reason=Reason.MODEL_REVISIONS_DIFFER,
            message=f"{count}, and not the same one ({told}): write a commit in spec.model.revision, which replaces them",
        )
    return Verdict(
        status=True, reason=Reason.MODEL_DOWNLOADED, message=f"{count}, at {', '.join(sorted({p.commit for p in have}))}"
    )


def _progressing(facts: Facts, blockers: Sequence[tuple[str, Problem]], stalled: Verdict) -> Verdict:
    if facts.deleting:
        return Verdict(status=False, reason=Reason.TERMINATING, message="the ModelDeployment is being deleted")
    if stalled.status:
        return Verdict(
            status=False,
            reason=stalled.reason,
            message="the last valid spec stays in force" if facts.invalid else stalled.message,
        )
    counts = _counts(facts)
    updated = f"{counts['updatedReplicas']} of {facts.wanted} replicas run the present spec, {counts['availableReplicas']} serve"
    if facts.deployment is None or not _up_to_date(facts):
        return Verdict(status=True, reason=Reason.ROLLOUT_IN_PROGRESS, message="the Deployment has just been written")
    if not _complete(facts):
        reason = Reason.ROLLOUT_IN_PROGRESS if counts["replicas"] != counts["updatedReplicas"] else Reason.SCALING
        return Verdict(status=True, reason=reason, message=updated)
    if counts["availableReplicas"] < facts.wanted and (not blockers or blockers[0][1].reason in _PASSES):
        return Verdict(status=True, reason=Reason.SCALING, message=updated)
    return Verdict(status=False, reason=Reason.ROLLOUT_COMPLETE, message=updated)


def _overdue(facts: Facts) -> bool:
    """The Deployment's deadline knows nothing of downloads, whose time nobody can say beforehand."""
    return (
        not facts.loading
        and _up_to_date(facts)
        and _deployment_condition(facts, "Progressing").get("reason") == "ProgressDeadlineExceeded"
    )


def _unavailable_too_long(facts: Facts) -> bool:
    """The same where the rollout was over before: then the Deployment's controller looks at no deadline any more."""
    if facts.deployment is None or _deployment_condition(facts, "Progressing").get("reason") != "NewReplicaSetAvailable":
        return False
    return (
        not facts.loading
        and _up_to_date(facts)
        and facts.unavailable_seconds > facts.deployment["spec"]["progressDeadlineSeconds"]
    )


def _stalled(facts: Facts, blockers: Sequence[tuple[str, Problem]], valid: Verdict) -> Verdict:
    if not facts.deleting:
        if not valid.status:
            return Verdict(status=True, reason=valid.reason, message=valid.message)
        overdue = _overdue(facts)
        late = overdue or _unavailable_too_long(facts)
        people = _WAITS_FOR_PEOPLE | _MAY_WAIT_FOR_PEOPLE if late else _WAITS_FOR_PEOPLE
        waits = [each for each in blockers if each[1].reason in people]
        if waits:
            return Verdict(status=True, reason=waits[0][1].reason, message=_told(waits))
        if overdue:
            message = f"no replica of the present spec became ready in time; {_told(blockers)}".rstrip("; ")
            return Verdict(status=True, reason=Reason.PROGRESS_DEADLINE_EXCEEDED, message=message)
    return Verdict(status=False, reason=Reason.NOT_STALLED, message="nothing waits for a person")


def _hindered(facts: Facts, blockers: Sequence[tuple[str, Problem]]) -> list[tuple[str, Problem]]:
    """What keeps a rollout from going on while the replicas of the last spec serve, but for what passes by itself.

    A pod that no node takes passes as long as another one ends: that is about to free its GPU.
    """
    freed = {Reason.UNSCHEDULABLE} if any(pod.terminating for pod in facts.pods) else set()
    return [each for each in blockers if each[1].reason not in _PASSES | freed]


def _ready(
    facts: Facts, blockers: Sequence[tuple[str, Problem]], available: Verdict, progressing: Verdict, stalled: Verdict
) -> Verdict:
    if facts.deleting:
        return Verdict(status=False, reason=Reason.TERMINATING, message="the ModelDeployment is being deleted")
    if stalled.status:
        return Verdict(status=False, reason=stalled.reason, message=stalled.message)
    if not available.status:
        return available
    counts = _counts(facts)
    if not _complete(facts) or counts["availableReplicas"] < facts.wanted:
        hindered = _hindered(facts, blockers)
        reason = hindered[0][1].reason if hindered else progressing.reason
        return Verdict(status=False, reason=reason, message="; ".join(filter(None, (progressing.message, _told(hindered)))))
    if facts.wanted == 0:
        return Verdict(status=True, reason=Reason.SCALED_TO_ZERO, message="spec.replicas is 0: nothing serves, as asked for")
    return Verdict(
        status=True,
        reason=Reason.READY,
        message=f"{available.message}, all with the present spec{_OPEN if facts.open_to_cluster else ''}",
    )
