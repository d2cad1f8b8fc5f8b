"""The engine's argv: what was asked, what is fixed, and not a word more."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fairlead.api.engine_env import FORCED_ENV
from fairlead.api.engine_flags import OWNED_FLAGS, REFUSED_FLAGS
from fairlead.resources import validate
from fairlead.resources.engine_args import engine_args
from fairlead.resources.engine_flags.tables import table
from tests.unit.resources.cases import CONTEXT, model_deployment
from tests.unit.resources.test_build import hostile

BASE = [
    "/models/tiny",
    "--served-model-name=chat",
    "--host=127.0.0.1",
    "--port=8001",
    "--gpu-memory-utilization=0.90",
    "--load-format=safetensors",
    "--allowed-media-domains=media.invalid",
    "--disable-fastapi-docs",
    "--disable-uvicorn-access-log",
    "--fingerprint-mode=none",
    "--shutdown-timeout=45",
]


def rendered(engine: dict[str, Any], **model: str) -> list[str]:
    """As the engine gets it: the kubelet has looked for $(NAME)."""
    spec = {"engine": engine, "model": {"uri": "pvc://models/tiny", **model}}
    return [expanded(word, FORCED_ENV) for word in engine_args(model_deployment(spec))]


def expanded(text: str, env: dict[str, str]) -> str:
    """Kubernetes' expansion of args: $(NAME) is replaced if it is known, $$ is one $, any other $ stays."""

    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return env.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", one, text)


def test_base() -> None:
    assert rendered({}) == BASE


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ({"dtype": "float16"}, ["--dtype=float16"]),
        ({"quantization": "fp8"}, ["--quantization=fp8"]),
        ({"kvCacheDtype": "fp8"}, ["--kv-cache-dtype=fp8"]),
        ({"maxModelLen": 4096}, ["--max-model-len=4096"]),
        ({"maxNumSeqs": 4}, ["--max-num-seqs=4"]),
        ({"args": {"enforce-eager": "true"}}, ["--enforce-eager"]),
        ({"args": {"enforce-eager": ""}}, ["--enforce-eager"]),
        ({"args": {"enforce-eager": "false"}}, ["--no-enforce-eager"]),
        ({"args": {"max-num-batched-tokens": 8192}}, ["--max-num-batched-tokens=8192"]),
        ({"args": {"kv-cache-memory-bytes": "8M"}}, ["--kv-cache-memory-bytes=8M"]),
        (
            {"args": {"compilation-config.pass_config.fuse_norm_quant": "true"}},
            ["--compilation-config.pass_config.fuse_norm_quant=true"],
        ),
        ({"args": {"tool-call-parser": "true"}}, ["--tool-call-parser=true"]),
        ({"args": {"lora-modules": '["a=/models/a", "b=/models/b"]'}}, ["--lora-modules", "a=/models/a", "b=/models/b"]),
        ({"args": {"chat-template": "$(HOME) $HOME $$ $"}}, ["--chat-template=$(HOME) $HOME $$ $"]),
        ({"args": {"chat-template": "-x --trust-remote-code"}}, ["--chat-template=-x --trust-remote-code"]),
    ],
    ids=str,
)
def test_what_is_asked_for_is_added(engine: dict[str, Any], words: list[str]) -> None:
    assert sorted(rendered(engine)) == sorted(BASE + words)


@pytest.mark.parametrize(("percent", "share"), [(10, "0.10"), (90, "0.90"), (98, "0.98")])
def test_the_share_of_memory(percent: int, share: str) -> None:
    assert f"--gpu-memory-utilization={share}" in rendered({"gpuMemoryUtilizationPercent": percent})


@pytest.mark.parametrize(
    ("args", "ours"),
    [
        ({"load-format": "runai_streamer"}, "--load-format=safetensors"),
        ({"allowed-media-domains": "images.example.com"}, "--allowed-media-domains=media.invalid"),
    ],
)
def test_a_default_gives_way_to_the_users_own(args: dict[str, str], ours: str) -> None:
    assert ours not in rendered({"args": args})
    assert len(rendered({"args": args})) in {len(BASE), len(BASE) + 1}


@given(hostile)
def test_no_served_name_becomes_a_flag(served: str) -> None:
    assert rendered({}, servedName=served) == [BASE[0], f"--served-model-name={served}", *BASE[2:]]


flags = table("0.32.0")
assert flags is not None
TEXTS = sorted(
    name for name, flag in flags.flags.items() if flag.kind == "string" and name not in OWNED_FLAGS and name not in REFUSED_FLAGS
)


@given(st.dictionaries(st.sampled_from(TEXTS), hostile, max_size=4))
def test_argv_has_what_was_asked_and_no_word_more(args: dict[str, str]) -> None:
    mdep = model_deployment({"engine": {"args": args}})
    assume(not validate(mdep, CONTEXT))
    kept = [word for word in BASE if word.split("=")[0].removeprefix("--") not in args]
    assert rendered({"args": args}) == [*kept, *(f"--{flag}={value}" for flag, value in sorted(args.items()))]


def test_the_fixed_words_are_flags_of_the_engine() -> None:
    assert flags is not None
    for word in BASE[1:]:
        name, _, value = word.removeprefix("--").partition("=")
        flag = flags.flags[name]
        assert (flag.kind == "bool") == (not value), word
        assert not flag.choices or value in flag.choices, word
