"""The engine's environment: what Fairlead always sets, and which names a ModelDeployment may not set, and why."""

from __future__ import annotations

from fairlead.api.markers import Cel

FORCED_ENV: dict[str, str] = {
    # Off, whatever the image says: endpoints for development (sleep, profiler, collective calls), adapters loaded by
    # request, pickled messages, redirects that lead a media fetch past the allow-list of domains.
    "VLLM_SERVER_DEV_MODE": "0",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "0",
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "0",
    "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
    # `n` of a request: each costs a sequence; the engine's own limit is 16384, which runs it out of memory.
    "VLLM_MAX_N_SEQUENCES": "64",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # The model is a folder; a repository's name in a flag must fail, not download.
    "HF_HUB_OFFLINE": "1",
    # The root file system is read-only; /tmp is an emptyDir of the pod's own.
    "HOME": "/tmp",  # noqa: S108 # nosec B108 # the pod's own volume, not a shared folder
    "XDG_CACHE_HOME": "/tmp/cache",  # noqa: S108 # nosec B108
    "VLLM_CACHE_ROOT": "/tmp/cache/vllm",  # noqa: S108 # nosec B108
}
"""Set on every engine container, after the image's own and instead of the user's."""

_LOADER = "it makes the engine load other code than its image holds"
_CREDENTIAL = "the engine downloads nothing and must not hold a credential"
_DEVICE = "the device plugin sets it to the replica's own GPU"
_SHELL = "it runs a file of its choice whenever a shell starts"

REFUSED_ENV: dict[str, str] = {
    **dict.fromkeys(FORCED_ENV, "Fairlead sets it"),
    **dict.fromkeys(("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"), _LOADER),
    **dict.fromkeys(("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONINSPECT", "VLLM_PLUGINS"), _LOADER),
    **dict.fromkeys(("BASH_ENV", "ENV"), _SHELL),
    "PYTHONOPTIMIZE": "it removes checks that the engine relies on for safety",
    **dict.fromkeys(("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"), _CREDENTIAL),
    **dict.fromkeys(("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"), _DEVICE),
    **dict.fromkeys(("VLLM_PORT", "VLLM_HOST_IP"), "the engine's addresses are Fairlead's"),
    "VLLM_API_KEY": "with it the probes and the warm-up would get 401",
    "VLLM_LOGGING_CONFIG_PATH": "the file can name Python code that the engine then loads",
    "VLLM_DEBUG_LOG_API_SERVER_RESPONSE": "answers would stand in the log",
}
"""Name -> why it cannot be set."""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"


_NAMES = "[" + ", ".join(_quoted(name) for name in sorted(REFUSED_ENV)) + "]"
_WHYS = "{" + ", ".join(f"{_quoted(name)}: {_quoted(why)}" for name, why in sorted(REFUSED_ENV.items())) + "}"

ENV_RULES: tuple[Cel, ...] = (
    Cel(
        rule="self.name.matches('^[A-Za-z_][A-Za-z0-9_]*$')",
        message="name: write letters, digits and _, beginning with a letter or _, such as NCCL_DEBUG",
    ),
    Cel(
        rule=f"!(self.name in {_NAMES})",
        message="this variable cannot be set; remove it",
        message_expression=f"self.name + ' cannot be set: ' + {_WHYS}[self.name] + '. Remove it'",
        reason="FieldValueForbidden",
    ),
    Cel(
        rule="has(self.value) != has(self.valueFrom)",
        message="write exactly one of value and valueFrom",
    ),
)
"""The rules of an item of spec.engine.env."""
