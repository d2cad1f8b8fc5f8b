"""agent.json is read strictly, and every error names the key and what to write."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_agent.config import load, parse
from fairlead_agent.section import ConfigError
from tests.unit.agent.settings import AGENT_JSON, agent_json


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(AGENT_JSON))
    read = load(path)
    assert (read.engine, read.served_name, read.engine_url) == ("vllm", "tiny", "http://127.0.0.1:8001")
    assert (read.bind.port, read.bind.drain_port) == (8002, 8003)
    assert (read.gpu.memory_utilization_percent, read.gpu.memory_floor_bytes) == (90, 134217728)
    assert (read.warmup.enabled, read.warmup.requests, read.warmup.prompt_tokens, read.warmup.max_tokens) == (True, 8, 64, 16)
    assert (read.health.stall_seconds, read.health.startup_timeout_seconds, read.health.idle_seconds) == (60, 900, 5)
    assert read.health.not_ready_after == 15
    assert (read.drain.delay_seconds, read.drain.max_stream_seconds, read.drain.engine_shutdown_seconds) == (5, 600, 45)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "version: 2 is not known, this agent reads version 1"),
        ({"engine": "sglang"}, "engine: 'sglang' is not known, write one of vllm"),
        ({"servedName": ""}, "servedName: must be a text that is not empty"),
        ({"surprise": 1}, "surprise: unknown key, known here: bind, drain, engine"),
        ({"health__surprise": 1}, "health.surprise: unknown key"),
        ({"health__stallSeconds": "60"}, 'health.stallSeconds: must be an integer from 1 to 86400, not "60"'),
        ({"health__stallSeconds": True}, "health.stallSeconds: must be an integer from 1 to 86400, not true"),
        ({"health__stallSeconds": 60.0}, "health.stallSeconds: must be an integer from 1 to 86400, not 60.0"),
        ({"health__stallSeconds": 0}, "health.stallSeconds: must be an integer from 1"),
        ({"gpu__memoryUtilizationPercent": 101}, "gpu.memoryUtilizationPercent: must be an integer from 1 to 100, not 101"),
        ({"warmup__enabled": 1}, "warmup.enabled: must be true or false, not 1"),
        ({"engineUrl": "127.0.0.1:8001"}, "engineUrl: must look like http://127.0.0.1:8001"),
        ({"engineUrl": "http://127.0.0.1"}, "engineUrl: must look like http://127.0.0.1:8001"),
        ({"engineUrl": "http://127.0.0.1:port"}, "engineUrl: must look like http://127.0.0.1:8001"),
        ({"bind__port": 65536}, "bind.port: must be an integer from 1 to 65535"),
        ({"drain": []}, "drain: must be an object, not []"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(json.dumps(agent_json(**changes)))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "path", ["engine", "bind.port", "gpu.memoryFloorBytes", "warmup.requests", "health.idleSeconds", "drain"]
)
def test_every_key_is_needed(path: str) -> None:
    raw = agent_json()
    *sections, last = path.split(".")
    target = raw
    for section in sections:
        target = target[section]
    del target[last]
    with pytest.raises(ConfigError, match=f"^{path}: missing$"):
        parse(json.dumps(raw))


@pytest.mark.parametrize(("text", "said"), [("{", "not JSON"), ("[]", "must be an object, not []"), ('"x"', "must be an object")])
def test_what_is_no_object_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere\.json"):
        load(tmp_path / "nowhere.json")
    (tmp_path / "wrong.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"wrong\.json: version: missing"):
        load(tmp_path / "wrong.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = [(key,) for key in AGENT_JSON] + [
    (key, inner) for key, value in AGENT_JSON.items() if isinstance(value, dict) for inner in value
]


@given(st.sampled_from(KEYS), JSON)
def test_nothing_in_the_file_raises_anything_else(path: tuple[str, ...], value: Any) -> None:
    raw = agent_json(**{"__".join(path): value})
    said = ""
    try:
        parse(json.dumps(raw))
    except ConfigError as error:
        said = str(error)
    assert not said or said.startswith(path[0])
