"""What a failed download is told as: a reason, and a sentence that says what to write instead. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fairlead_agent.reasons import Problem, Reason

if TYPE_CHECKING:
    from fairlead_agent.fetch.config import FetchConfig

GIB: Final = 2**30

LASTING: Final = frozenset(
    {
        Reason.MODEL_NOT_FOUND,
        Reason.MODEL_REVISION_NOT_FOUND,
        Reason.MODEL_WITHOUT_SAFETENSORS,
        Reason.MODEL_VOLUME_FULL,
        Reason.HUB_TOKEN_MISSING,
        Reason.HUB_TOKEN_REQUIRED,
        Reason.HUB_TOKEN_REFUSED,
        Reason.HUB_ACCESS_DENIED,
    }
)
"""What does not pass by itself: somebody must write something else, here or at the hub."""


def problem(kind: str, detail: str, config: FetchConfig, *, done: int, total: int) -> Problem:
    """`kind` and `detail` as download.py tells them; `done` and `total` in bytes, 0 where not known."""
    model, revision = config.repository, config.revision
    said = f" ({detail})" if detail else ""
    if kind == "full":
        return Problem(Reason.MODEL_VOLUME_FULL, _full(detail, config, done=done, total=total))
    if kind == "interrupted":
        return Problem(
            Reason.DOWNLOAD_INTERRUPTED, f"cut off after {done} of {total} bytes of {model}, and goes on from there{said}"
        )
    reason, message = {
        "token-required": (
            Reason.HUB_TOKEN_REQUIRED,
            f"{model} is given to known accounts only: name a Secret with an access token in spec.model.secretRef{said}",
        ),
        "token-refused": (
            Reason.HUB_TOKEN_REFUSED,
            f"{config.endpoint} does not take the token in {_secret(config)}: put a valid one there{said}",
        ),
        "access-denied": (
            Reason.HUB_ACCESS_DENIED,
            (
                f"the account of the token in {_secret(config)} has no access to {model}: ask for it on the model's page, or "
                f"let the token read gated repositories{said}"
            ),
        ),
        "no-repository": (Reason.MODEL_NOT_FOUND, f"{config.endpoint} has no model {model}{_hidden(config)}"),
        "no-revision": (
            Reason.MODEL_REVISION_NOT_FOUND,
            f"{model} has no revision {revision}: write a branch, a tag or a commit of it in spec.model.revision",
        ),
        "no-safetensors": (
            Reason.MODEL_WITHOUT_SAFETENSORS,
            (
                f"{model} at {revision} has no .safetensors file, and other weights are not loaded, as they can hold code: "
                "write a revision or a model that has"
            ),
        ),
        "unreachable": (Reason.HUB_UNREACHABLE, f"{config.endpoint} does not answer{said}; tried again"),
        "no-library": (Reason.DOWNLOAD_FAILED, f"the Python of the engine's image has no huggingface_hub{said}"),
    }.get(kind, (Reason.DOWNLOAD_FAILED, f"the download of {model} from {config.endpoint} failed{said}; tried again"))
    return Problem(reason, message)


def token_problem(config: FetchConfig, token: str) -> Problem | None:
    """What is wrong with the token without asking anybody; None where none is needed, or it may be good."""
    if config.token is None:
        return None
    if any(not "!" <= letter <= "~" for letter in token):
        return problem("token-refused", "it is not one word of ASCII letters", config, done=0, total=0)
    return (
        None
        if token
        else Problem(
            Reason.HUB_TOKEN_MISSING,
            f"there is no {_secret(config)} in this namespace, or it is empty: make it, or take spec.model.secretRef out",
        )
    )


def _secret(config: FetchConfig) -> str:
    return f"Secret {config.token.secret}, key {config.token.key}," if config.token else "the Secret"


def _hidden(config: FetchConfig) -> str:
    """A hub does not tell a stranger whether a model is private or not there at all."""
    if config.token is None:
        return ", or it is private: check spec.model.uri, or name a Secret with an access token in spec.model.secretRef"
    return " that this token may see: check spec.model.uri, and what the token may read"


def _full(room: str, config: FetchConfig, *, done: int, total: int) -> str:
    # A file system takes up to a twentieth for itself.
    needed = -(-total * 21 // 20 // GIB) + 1
    held = f"room for {room}" if room else f"taken {done} and is full"
    return f"{config.repository} has {total} bytes, and the volume has {held}: write at least {needed}Gi in spec.model.cache.size"
