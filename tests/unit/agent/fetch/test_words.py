"""What went wrong is told with its own reason, and with what to write instead."""

import pytest

from fairlead_agent.fetch import words
from fairlead_agent.reasons import Problem, Reason
from tests.unit.agent.fetch.settings import TOKEN, config

GIB = 2**30
SECRET = "Secret hub, key token,"  # noqa: S105

# kind, detail, whether there is a token -> reason, what the message must hold
TOLD = {
    "gated, no token": ("token-required", "", False, Reason.HUB_TOKEN_REQUIRED, ["org/tiny", "spec.model.secretRef"]),
    "a wrong token": ("token-refused", "Invalid", True, Reason.HUB_TOKEN_REFUSED, [SECRET, "put a valid one there (Invalid)"]),
    "no access": ("access-denied", "", True, Reason.HUB_ACCESS_DENIED, [SECRET, "ask for it on the model's page"]),
    "nothing, to a stranger": (
        "no-repository",
        "",
        False,
        Reason.MODEL_NOT_FOUND,
        ["https://hub.example.com has no model org/tiny, or it is private", "spec.model.uri", "spec.model.secretRef"],
    ),
    "nothing": ("no-repository", "", True, Reason.MODEL_NOT_FOUND, ["that this token may see", "spec.model.uri"]),
    "no revision": ("no-revision", "", False, Reason.MODEL_REVISION_NOT_FOUND, ["no revision main", "spec.model.revision"]),
    "no safetensors": ("no-safetensors", "", False, Reason.MODEL_WITHOUT_SAFETENSORS, ["no .safetensors file", "write"]),
    "no answer": ("unreachable", "HTTP 503", False, Reason.HUB_UNREACHABLE, ["does not answer (HTTP 503)", "tried again"]),
    "cut": ("interrupted", "gone", False, Reason.DOWNLOAD_INTERRUPTED, [f"after {GIB} of {16 * GIB} bytes", "(gone)"]),
    "no library": ("no-library", "No module", False, Reason.DOWNLOAD_FAILED, ["no huggingface_hub (No module)"]),
    "anything else": ("failed", "KeyError: 'sha'", False, Reason.DOWNLOAD_FAILED, ["KeyError: 'sha'", "org/tiny"]),
    "a word of a later child's": ("new", "of 2030", False, Reason.DOWNLOAD_FAILED, ["of 2030"]),
    # 16 GiB, a twentieth more and one for the rest
    "too small": ("full", "4000", False, Reason.MODEL_VOLUME_FULL, [f"{16 * GIB} bytes", "room for 4000", "at least 18Gi"]),
    "full": ("full", "", False, Reason.MODEL_VOLUME_FULL, [f"taken {GIB} and is full", "spec.model.cache.size"]),
}


@pytest.mark.parametrize(("kind", "detail", "with_token", "reason", "parts"), TOLD.values(), ids=TOLD)
def test_each_is_told_apart(kind: str, detail: str, with_token: bool, reason: Reason, parts: list[str]) -> None:  # noqa: FBT001
    told = words.problem(kind, detail, config(token=TOKEN if with_token else None), done=GIB, total=16 * GIB)
    assert told.reason is reason
    for part in parts:
        assert part in told.message


def test_a_token_is_looked_at_before_anybody_is_asked() -> None:
    guarded = config(token=TOKEN)
    assert words.token_problem(config(), "") is None
    assert words.token_problem(guarded, "hf_good") is None
    missing = words.token_problem(guarded, "")
    assert missing == Problem(
        Reason.HUB_TOKEN_MISSING,
        "there is no Secret hub, key token, in this namespace, or it is empty: make it, or take spec.model.secretRef out",
    )
    for bad in ("two words", "hf_ä", "a\nb"):
        told = words.token_problem(guarded, bad)
        assert told is not None
        assert told.reason is Reason.HUB_TOKEN_REFUSED
        assert bad not in told.message
