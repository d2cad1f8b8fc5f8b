"""What a pod tells while it downloads its model, and after."""

import json
from typing import Any

import pytest

from fairlead.api.conditions import Reason
from fairlead.reconciler.pods import view

Object = dict[str, Any]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SIDECAR = {"name": "sidecar", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
ENGINE = {"name": "engine", "state": {"waiting": {"reason": "PodInitializing"}}}


def pod(fetch: Object, engine: Object = ENGINE, phase: str = "Pending", *, volumes: list[Object] | None = None) -> Object:
    return {
        "metadata": {"name": "chat-abc-1", "labels": {"pod-template-hash": "abc"}},
        "spec": {"volumes": volumes or []},
        "status": {
            "phase": phase,
            "podIP": "10.0.0.7",
            "initContainerStatuses": [SIDECAR, {"name": "fetch", "lastState": {}, **fetch}],
            "containerStatuses": [engine],
        },
    }


def done(message: str, code: int = 0) -> Object:
    return {"state": {"terminated": {"exitCode": code, "message": message}}}


def test_one_that_downloads_is_asked() -> None:
    seen = view(pod({"state": {"running": {"startedAt": "2026-01-01T00:00:05Z"}}}))
    assert (seen.address, seen.running_since, seen.problem, seen.commit) == ("10.0.0.7", "2026-01-01T00:00:05Z", None, "")


def test_one_whose_sidecar_starts_is_not() -> None:
    seen = view(pod({"state": {"waiting": {"reason": "PodInitializing"}}}))
    assert seen.address == ""
    assert seen.problem is not None
    assert seen.problem.reason is Reason.POD_STARTING


def test_one_that_has_downloaded_is_no_crash_and_keeps_its_commit() -> None:
    running = {"name": "engine", "state": {"running": {"startedAt": "2026-01-01T01:00:00Z"}}}
    seen = view(pod(done(json.dumps({"commit": COMMIT, "bytes": 5})), running, "Running"))
    assert (seen.problem, seen.commit, seen.address) == (None, COMMIT, "10.0.0.7")
    assert seen.running_since == "2026-01-01T01:00:00Z"


@pytest.mark.parametrize(
    "words", ["", "{", "[]", "[" * 5000, "null", '{"commit": 5}', '{"commit": "<script>"}', '{"commit": "A1"}']
)
def test_last_words_that_are_none_of_ours(words: str) -> None:
    assert view(pod(done(words))).commit == ""


@pytest.mark.parametrize(
    ("fetch", "reason", "words"),
    [
        (done("wrong configuration: version: 7", 2), Reason.DOWNLOAD_FAILED, "container fetch ended with exit code 2: wrong"),
        (
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            },
            Reason.DOWNLOAD_FAILED,
            "container fetch ended with exit code 137",
        ),
        ({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "x"}}}, Reason.IMAGE_PULL_FAILED, "container fetch"),
    ],
)
def test_a_fetcher_that_does_not_run(fetch: Object, reason: Reason, words: str) -> None:
    seen = view(pod(fetch))
    assert seen.problem is not None
    assert seen.problem.reason is reason
    assert words in seen.problem.message
    assert (seen.address, seen.commit) == ("", "")


def own_volume(**claim: str) -> Object:
    return {"name": "model", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}


@pytest.mark.parametrize(
    ("volume", "told"),
    [
        (own_volume(), "set spec.model.cache.storageClassName, or give the cluster a default StorageClass"),
        (own_volume(storageClassName="fast"), "is there a StorageClass fast, and does its provisioner run?"),
        ({"name": "model", "persistentVolumeClaim": {"claimName": "models"}}, ""),
    ],
    ids=["no class", "a class", "a claim of the user's"],
)
def test_a_volume_that_nobody_makes_says_what_to_write(volume: Object, told: str) -> None:
    words = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
    unbound = {"type": "PodScheduled", "status": "False", "message": words}
    seen = view(
        {"metadata": {"name": "a"}, "spec": {"volumes": [volume]}, "status": {"phase": "Pending", "conditions": [unbound]}}
    )
    assert seen.problem is not None
    assert seen.problem.reason is Reason.CLAIM_NOT_BOUND
    first, _, advice = seen.problem.message.partition("; ")
    assert first == "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims"
    assert advice.endswith(told)
    assert bool(advice) is bool(told)
