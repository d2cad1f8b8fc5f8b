"""The whole container: the agent as a process, a child of the engine's Python under it, a hub that refuses, cuts and relents."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead_agent.fetch.download import PIECE_BYTES
from fairlead_agent.fetch.process import environment, python_of
from tests.fetcher import Fetcher
from tests.hub import Hub, Settings, serving
from tests.waiting import until

WEIGHTS = bytes(range(251)) * (3 * PIECE_BYTES // 251)


@pytest.fixture
def fetcher(tmp_path: Path) -> Iterator[Fetcher]:
    model = tmp_path / "hub/org/tiny"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(WEIGHTS)
    hub = Hub(tmp_path / "hub", Settings())
    with serving(hub) as endpoint:
        made = Fetcher(tmp_path, hub, endpoint)
        yield made
        made.close()


def settings_of(fetcher: Fetcher) -> Settings:
    return fetcher.hub.settings


def test_a_token_put_right_and_a_cut_mended_lead_to_the_model(fetcher: Fetcher) -> None:
    secret = fetcher.folder / "token"
    settings = settings_of(fetcher)
    settings.gated.append("org/tiny")
    fetcher.start(token={"file": str(secret), "secret": "hub", "key": "token"})
    assert "Secret hub, key token," in fetcher.until_told("HubTokenMissing")["message"]
    assert fetcher.hub.asked == []
    secret.write_text("hf_wrong\n")
    refused = fetcher.until_told("HubTokenRefused")
    assert refused["phase"] == "Downloading"
    assert "hf_wrong" not in json.dumps(refused)
    settings.tokens["hf_good"] = ["org/tiny"]
    settings.cut_after = 0
    secret.write_text("hf_good\n")
    cut = fetcher.until_told("DownloadInterrupted")
    assert cut["revision"] == fetcher.hub.commit("org/tiny")
    settings.cut_after = None
    assert fetcher.ends() == 0
    model = fetcher.folder / "volume/model"
    assert (model / "model.safetensors").read_bytes() == WEIGHTS
    assert json.loads(fetcher.said()) == {"commit": fetcher.hub.commit("org/tiny"), "bytes": len(WEIGHTS) + 2}
    assert "hf_good" not in fetcher.log.read_text()
    assert {token for _, _, token in fetcher.hub.asked} <= {"hf_wrong", "hf_good", ""}

    # Started again in the same pod, it asks nobody.
    fetcher.hub.asked.clear()
    fetcher.start()
    assert fetcher.ends() == 0
    assert json.loads(fetcher.said())["commit"] == fetcher.hub.commit("org/tiny")
    assert fetcher.hub.asked == []


def test_progress_in_bytes_and_an_end_that_is_no_success(fetcher: Fetcher) -> None:
    settings_of(fetcher).hold_at = PIECE_BYTES + 1
    fetcher.start()
    total = len(WEIGHTS) + 2
    told = until(
        "some bytes are there",
        lambda: (each := fetcher.status())["message"].startswith("1048") and each,
        seconds=60,
        every=0.05,
        describe=fetcher.story,
    )
    assert f"of {total} bytes (33 %) of org/tiny at {fetcher.hub.commit('org/tiny')[:12]}" in told["message"]
    assert fetcher.process is not None
    (child,) = map(int, Path(f"/proc/{fetcher.process.pid}/task/{fetcher.process.pid}/children").read_text().split())
    fetcher.process.send_signal(signal.SIGTERM)
    assert fetcher.ends() == 128 + signal.SIGTERM
    assert fetcher.said() == "told to end before the model was there"
    until("its child is gone", lambda: not Path(f"/proc/{child}").exists(), seconds=10, every=0.02)


def test_a_configuration_that_it_does_not_know(fetcher: Fetcher) -> None:
    fetcher.start(version=7)
    assert fetcher.ends() == 2
    assert "version: 7 is not known" in fetcher.said()
    assert "Traceback" not in fetcher.log.read_text()


def test_an_image_whose_engine_is_not_python_s_is_told(fetcher: Fetcher) -> None:
    fetcher.shebang = "/bin/sh"
    fetcher.start()
    assert "its first line names no Python" in fetcher.until_told("DownloadFailed")["message"]


@pytest.mark.parametrize(
    ("first", "words"),
    [("#!/opt/vllm/bin/python3", ["/opt/vllm/bin/python3"]), ("#! /usr/bin/env python3 ", ["/usr/bin/env", "python3"])],
)
def test_the_python_of_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, words: list[str]) -> None:
    command = tmp_path / "vllm"
    command.write_text(f"{first}\nimport sys\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert python_of("vllm") == words


@pytest.mark.parametrize("first", ["#!/bin/sh", "\x7fELF", ""])
def test_a_command_that_is_not_python_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    (tmp_path / "vllm").write_text(first)
    (tmp_path / "vllm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="names no Python"):
        python_of("vllm")
    with pytest.raises(FileNotFoundError, match="no such command"):
        python_of("sglang")


def test_the_child_gets_no_credential_and_nothing_of_the_user_s() -> None:
    own = {"PATH": "/bin", "HF_TOKEN": "x", "PYTHONPATH": "/y", "SSL_CERT_FILE": "/z", "HF_HUB_OFFLINE": "1"}
    made = environment(own, "https://hub.example.com")
    assert made["HF_ENDPOINT"] == "https://hub.example.com"
    assert (made["PATH"], made["SSL_CERT_FILE"]) == ("/bin", "/z")
    assert made.keys().isdisjoint({"HF_TOKEN", "PYTHONPATH", "HF_HUB_OFFLINE"})
