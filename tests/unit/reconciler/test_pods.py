"""What a pod tells."""

from typing import Any

import pytest

from fairlead.api.conditions import Reason
from fairlead.reconciler.pods import belongs, hindrance, short_of, view
from fairlead.resources.engine_flags.validate import Problem

Object = dict[str, Any]


def pod(status: Object, **metadata: Any) -> Object:
    return {"metadata": {"name": "chat-abc-1", "labels": {"pod-template-hash": "abc"}, **metadata}, "status": status}


def waiting(reason: str, message: str = "", name: str = "engine", last: Object | None = None) -> Object:
    each = {"name": name, "state": {"waiting": {"reason": reason, "message": message}}, "lastState": last or {}}
    return {"phase": "Pending", "containerStatuses": [each]}


def unscheduled(message: str) -> Object:
    return {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}],
    }


PROBLEMS: dict[str, tuple[Object, Reason, str]] = {
    "new": ({}, Reason.POD_STARTING, "waits for the node"),
    "no node": (unscheduled("0/3 nodes are available"), Reason.UNSCHEDULABLE, "0/3 nodes are available"),
    "no claim": (unscheduled('persistentvolumeclaim "models" not found'), Reason.CLAIM_NOT_FOUND, "models"),
    "claim without a volume": (
        unscheduled("pod has unbound immediate PersistentVolumeClaims"),
        Reason.CLAIM_NOT_BOUND,
        "unbound",
    ),
    "creating": (waiting("ContainerCreating"), Reason.POD_STARTING, "engine is being created"),
    "pull back-off": (
        waiting("ImagePullBackOff", "no such image"),
        Reason.IMAGE_PULL_FAILED,
        "engine: ImagePullBackOff: no such image",
    ),
    "pull": (waiting("ErrImagePull", "x"), Reason.IMAGE_PULL_FAILED, "ErrImagePull"),
    "bad image name": (waiting("InvalidImageName", "x"), Reason.IMAGE_INVALID, "InvalidImageName"),
    "an image that may not be pulled": (waiting("ErrImageNeverPull", "x"), Reason.IMAGE_INVALID, "ErrImageNeverPull"),
    "missing secret": (
        waiting("CreateContainerConfigError", 'secret "s" not found'),
        Reason.CONTAINER_CONFIG_INVALID,
        'secret "s" not found',
    ),
    "crash": (
        waiting("CrashLoopBackOff", "back-off", last={"terminated": {"exitCode": 3, "message": "last\nwords"}}),
        Reason.ENGINE_CRASH_LOOPING,
        "container engine ended with exit code 3: last words",
    ),
    "crash without a word": (waiting("CrashLoopBackOff"), Reason.ENGINE_CRASH_LOOPING, "container engine ended"),
    "out of memory": (
        waiting("CrashLoopBackOff", last={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
        Reason.ENGINE_OUT_OF_MEMORY,
        "spec.pod.resources.limits.memory",
    ),
    "sidecar": (
        waiting("CrashLoopBackOff", name="sidecar", last={"terminated": {"exitCode": 1, "message": "bad config"}}),
        Reason.SIDECAR_FAILED,
        "container sidecar ended with exit code 1: bad config",
    ),
    "just ended": (
        {"phase": "Running", "containerStatuses": [{"name": "engine", "state": {"terminated": {"exitCode": 1}}}]},
        Reason.ENGINE_CRASH_LOOPING,
        "exit code 1",
    ),
    "unknown word": (waiting("SomethingNew", "of 2030"), Reason.REPLICAS_UNAVAILABLE, "SomethingNew: of 2030"),
    "evicted": (
        {"phase": "Failed", "reason": "Evicted", "message": "node was low on memory"},
        Reason.POD_FAILED,
        "Evicted: node was low on memory",
    ),
    "ended": ({"phase": "Failed"}, Reason.POD_FAILED, "its containers have ended"),
    "a fault beats a start": (
        {
            "phase": "Pending",
            "initContainerStatuses": [{"name": "sidecar", "state": {"waiting": {"reason": "PodInitializing"}}}],
            "containerStatuses": [{"name": "engine", "state": {"waiting": {"reason": "ErrImagePull"}}}],
        },
        Reason.IMAGE_PULL_FAILED,
        "engine",
    ),
}


@pytest.mark.parametrize(("status", "reason", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_why_it_does_not_serve(status: Object, reason: Reason, words: str) -> None:
    seen = view(pod(status))
    assert seen.problem is not None
    assert (seen.problem.reason, seen.ready, seen.address) == (reason, False, "")
    assert words in seen.problem.message
    assert len(seen.problem.message) < 600


RUNNING: Object = {
    "phase": "Running",
    "podIP": "10.0.0.1",
    "containerStatuses": [{"name": "engine", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
}


def test_one_that_runs_and_is_not_ready_is_asked() -> None:
    seen = view(pod(RUNNING))
    assert (seen.problem, seen.address, seen.running_since) == (None, "10.0.0.1", "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "seen",
    [
        pod({**RUNNING, "conditions": [{"type": "Ready", "status": "True"}]}),
        pod(RUNNING, deletionTimestamp="2026-01-01T00:00:00Z"),
    ],
    ids=["ready", "ending"],
)
def test_one_that_is_ready_or_ending_is_not_asked(seen: Object) -> None:
    assert (view(seen).problem, view(seen).address, view(seen).running_since) == (None, "", "")


def crashed(state: Object, *, restarts: int = 3, code: int | None = 1, ready: str | None = "2026-01-01T00:00:00Z") -> Object:
    """A replica that has not been ready since `ready`, and whose engine has ended before."""
    last = {} if code is None else {"terminated": {"exitCode": code, "message": "EngineExited: x\nValueError: no such layer"}}
    engine = {"name": "engine", "state": state, "lastState": last, "restartCount": restarts}
    conditions = [{"type": "Ready", "status": "False", "lastTransitionTime": ready}]
    return pod({"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [engine], "conditions": conditions})


LOADS: Object = {"running": {"startedAt": "2026-01-01T00:05:00Z"}}
BACKS_OFF: Object = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}
CRASH = "container engine ended with exit code 1, restarted 3 times: EngineExited: x ValueError: no such layer"
#: What the kubelet says, what the agent says, and what is told.
LOOPS: dict[str, tuple[Object, Reason | None, Reason | None, str]] = {
    "it ended just now": (
        crashed({"terminated": {"exitCode": 1, "message": "x"}}, restarts=0, code=None),
        None,
        Reason.ENGINE_CRASH_LOOPING,
        "container engine ended with exit code 1: x",
    ),
    "it is held back": (crashed(BACKS_OFF), None, Reason.ENGINE_CRASH_LOOPING, CRASH),
    "it loads again": (crashed(LOADS), Reason.ENGINE_STARTING, Reason.ENGINE_CRASH_LOOPING, CRASH),
    "for the first time": (
        crashed(LOADS, restarts=1),
        Reason.ENGINE_STARTING,
        Reason.ENGINE_CRASH_LOOPING,
        CRASH.replace("3 times", "once"),
    ),
    "it warms up again": (crashed(LOADS), Reason.WARMUP_RUNNING, Reason.ENGINE_CRASH_LOOPING, CRASH),
    "its agent does not answer yet": (crashed(LOADS), Reason.AGENT_UNREACHABLE, Reason.ENGINE_CRASH_LOOPING, CRASH),
    "its agent is on its way out": (crashed(LOADS), Reason.ENGINE_EXITED, Reason.ENGINE_CRASH_LOOPING, CRASH),
    "nobody has asked its agent": (crashed(LOADS), None, Reason.ENGINE_CRASH_LOOPING, CRASH),
    "its container is made anew": (
        crashed({"waiting": {"reason": "ContainerCreating"}}),
        None,
        Reason.ENGINE_CRASH_LOOPING,
        CRASH,
    ),
    "its agent knows more": (crashed(LOADS), Reason.XID_FATAL, Reason.XID_FATAL, "said"),
    "its model has gone": (crashed(LOADS), Reason.MODEL_PATH_NOT_FOUND, Reason.MODEL_PATH_NOT_FOUND, "said"),
    "it is ready in a moment": (crashed(LOADS), Reason.READY, Reason.POD_STARTING, "the agent is ready; the kubelet"),
    "it has been ready since": (
        crashed(LOADS, ready="2026-01-01T00:09:00Z"),
        Reason.ENGINE_STALLED,
        Reason.ENGINE_STALLED,
        "said",
    ),
    "it has been ready since, and starts": (
        crashed(LOADS, ready="2026-01-01T00:09:00Z"),
        Reason.WARMUP_RUNNING,
        Reason.WARMUP_RUNNING,
        "said",
    ),
    "it ended as it was told": (crashed(LOADS, code=0), Reason.ENGINE_STARTING, Reason.ENGINE_STARTING, "said"),
    "it never ended": (crashed(LOADS, restarts=0, code=None), Reason.ENGINE_STARTING, Reason.ENGINE_STARTING, "said"),
    "nothing is wrong": (crashed(LOADS, restarts=0, code=None), None, None, ""),
}


@pytest.mark.parametrize(("seen", "answer", "reason", "words"), LOOPS.values(), ids=LOOPS)
def test_a_crash_is_told_until_the_replica_has_been_ready(
    seen: Object, answer: Reason | None, reason: Reason | None, words: str
) -> None:
    told = hindrance(view(seen), Problem(answer, "said") if answer else None)
    assert (told.reason if told else None) is reason
    assert told is None or told.message.startswith(words)


def test_a_crashed_one_that_runs_again_is_asked() -> None:
    assert view(crashed(LOADS)).address == "10.0.0.1"


@pytest.mark.parametrize("state", [BACKS_OFF, {"running": {"startedAt": None}}], ids=["waits", "runs"])
def test_a_crash_is_told_where_no_time_was_given(state: Object) -> None:
    """The API server shows a time that was not given as null."""
    assert view(crashed(state, ready=None)).crash is not None
    assert view(crashed(state, ready=None)).running_since == ""


@pytest.mark.parametrize("meta", [{}, {"deletionTimestamp": "2026-01-01T00:06:00Z"}], ids=["ready", "ending"])
def test_a_crash_of_one_that_is_ready_or_ending_is_nothing_to_tell(meta: Object) -> None:
    seen = crashed(LOADS)
    seen["metadata"] |= meta
    if not meta:
        seen["status"]["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:07:00Z"}]
    assert view(seen).crash is None


def test_out_of_memory_stays_what_it_was_while_it_loads_again() -> None:
    seen = crashed(LOADS)
    seen["status"]["containerStatuses"][0]["lastState"]["terminated"] = {"exitCode": 137, "reason": "OOMKilled"}
    told = hindrance(view(seen), Problem(Reason.ENGINE_STARTING, "said"))
    assert told is not None
    assert told.reason is Reason.ENGINE_OUT_OF_MEMORY


def test_of_long_last_words_the_reason_and_the_end_are_kept() -> None:
    lines = ["EngineExited: the engine ended with exit code 1", *(f"  File {number}" for number in range(300)), "ValueError: why"]
    seen = view(pod(waiting("CrashLoopBackOff", last={"terminated": {"exitCode": 1, "message": "\n".join(lines)}})))
    assert seen.problem is not None
    words = seen.problem.message.removeprefix("container engine ended with exit code 1: ")
    assert words.startswith("EngineExited: the engine ended with exit code 1 … ")
    assert words.endswith("File 298 File 299 ValueError: why")
    assert len(words) == 400


def test_of_a_model_that_is_not_there_the_claim_is_named() -> None:
    seen = crashed(LOADS, restarts=0, code=None)
    said = Problem(Reason.MODEL_PATH_NOT_FOUND, "no folder /models/x; found in /models: tiny/")
    assert hindrance(view(seen), said) == said, "on a volume of its own there is nobody to ask"
    seen["spec"] = {"volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": "weights"}}]}
    told = hindrance(view(seen), said)
    assert told is not None
    assert told.message == f"{said.message}; /models is claim weights: is the path in spec.model.uri right?"


def test_long_words_are_cut() -> None:
    seen = view(pod(waiting("ErrImagePull", "x" * 5000)))
    assert seen.problem is not None
    assert len(seen.problem.message) < 500


def test_short_of_a_gpu() -> None:
    assert short_of(view(pod(unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."))), "nvidia.com/gpu")
    assert not short_of(view(pod(unscheduled("0/1 nodes are available: 1 Insufficient cpu."))), "nvidia.com/gpu")
    assert not short_of(view(pod(RUNNING)), "nvidia.com/gpu")


def owned_by(kind: str, name: str, *, controller: bool = True) -> Object:
    return pod({}, ownerReferences=[{"kind": kind, "name": name, "controller": controller}])


@pytest.mark.parametrize(
    ("seen", "ours"),
    [
        (owned_by("ReplicaSet", "chat-abc"), True),
        (owned_by("ReplicaSet", "other-abc"), False),
        (owned_by("ReplicaSet", "chat-abd"), False),
        (owned_by("ReplicaSet", "chat-abc", controller=False), False),
        (owned_by("Job", "chat-abc"), False),
        (pod({}), False),
    ],
)
def test_whose_it_is(seen: Object, ours: bool) -> None:  # noqa: FBT001
    assert belongs(seen, "chat") is ours
