"""fetch.json is read strictly, and every error names the key."""

import json
from pathlib import Path
from typing import Any

import pytest

from fairlead_agent.fetch.config import load, parse
from fairlead_agent.section import ConfigError
from tests.unit.agent.fetch.settings import FETCH_JSON, TOKEN


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "fetch.json"
    path.write_text(json.dumps(FETCH_JSON | {"token": TOKEN}))
    read = load(path)
    assert (read.host, read.port, read.command) == ("127.0.0.1", 8002, "vllm")
    assert (read.repository, read.revision, read.endpoint) == ("org/tiny", "main", "https://hub.example.com")
    assert read.folder == Path("/models/model")
    assert read.token is not None
    assert (read.token.file, read.token.secret, read.token.key) == (Path("/etc/fairlead-hub/token"), "hub", "token")
    assert parse(json.dumps(FETCH_JSON)).token is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "version: 2 is not known, this agent reads version 1"),
        ({"engine": "sglang"}, "engine: 'sglang' is not known, write one of vllm"),
        ({"repository": ""}, "repository: must be a text that is not empty"),
        ({"token": "abc"}, 'token: must be an object, not "abc"'),
        ({"token": {"file": "/x"}}, "token.secret: missing"),
        ({"token": TOKEN | {"more": 1}}, "token.more: unknown key"),
        ({"bind": {"host": "127.0.0.1", "port": 0}}, "bind.port: must be an integer from 1 to 65535"),
        ({"surprise": 1}, "surprise: unknown key, known here: bind, endpoint, engine"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(json.dumps(FETCH_JSON | changes))
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere\.json"):
        load(tmp_path / "nowhere.json")
    (tmp_path / "wrong.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"wrong\.json: version: missing"):
        load(tmp_path / "wrong.json")
