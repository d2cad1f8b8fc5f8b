"""The downloading program with the real library against a hub: what it takes, what it leaves, and how each refusal comes out."""

import argparse
import errno
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from fairlead_agent.fetch import download
from fairlead_agent.fetch.download import PIECE_BYTES, Failure, failure_of, on_disk, run, wanted
from tests.hub import Hub, Settings, serving
from tests.unit.agent.processes import ROOT

FILES = {
    "config.json": b"{}",
    "tokenizer.json": b'{"a": 1}',
    "model.safetensors": bytes(range(251)) * (3 * PIECE_BYTES // 251),
    "chat_template.jinja": b"{{ messages }}",
    "merges.txt": b"a b",
    "tokenizer.model": b"pieces",
    "pytorch_model.bin": b"a pickle",
    "modeling_tiny.py": b"import os",
    "README.md": b"# Tiny",
    ".gitattributes": b"x",
}
TAKEN = {"config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja", "merges.txt", "tokenizer.model"}
Download = Callable[..., None]


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def hub(tmp_path: Path, settings: Settings) -> Hub:
    for name, content in FILES.items():
        file = tmp_path / "hub/org/tiny" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return Hub(tmp_path / "hub", settings)


@pytest.fixture
def fetch(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Download]:
    """Downloads org/tiny into `model`; the library's own pauses are left out."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    with serving(hub) as endpoint:

        def one(token: str = "", **changes: str) -> None:
            options = {"endpoint": endpoint, "repository": "org/tiny", "revision": "main", "commit": "", **changes}
            run(argparse.Namespace(**options, folder=tmp_path / "model"), token)

        yield one
        # What a failure has left behind; in its own process it ends with that.
        for thread in threading.enumerate():
            if thread.name.startswith("download"):
                thread.join(30)


def test_only_what_an_engine_reads_is_taken(
    fetch: Download, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch()
    folder = tmp_path / "model"
    assert {each.name for each in folder.iterdir() if each.is_file()} == TAKEN
    assert all((folder / name).read_bytes() == FILES[name] for name in TAKEN)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events == [{"commit": hub.commit("org/tiny"), "bytes": sum(len(FILES[name]) for name in TAKEN)}, {"whole": True}]
    assert not [path for _, path, _ in hub.asked if path.endswith((".py", ".bin"))]


def test_the_commit_that_was_found_first_is_asked_for(fetch: Download, hub: Hub, settings: Settings) -> None:
    settings.revisions["org/tiny@v1"] = "c" * 40
    fetch(revision="v1")
    assert {path.split("/")[4] for _, path, _ in hub.asked if "/resolve/" in path} == {"c" * 40}
    hub.asked.clear()
    fetch(revision="v1", commit=hub.commit("org/tiny"))
    assert hub.asked[0][1].endswith(hub.commit("org/tiny"))


def test_the_token_goes_to_the_hub_and_not_to_where_it_redirects(
    fetch: Download, hub: Hub, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_machine")
    settings.gated.append("org/tiny")
    settings.tokens["hf_good"] = ["org/tiny"]
    fetch("hf_good")
    assert {token for _, path, token in hub.asked if "/api/" in path} == {"hf_good"}
    hub.asked.clear()
    settings.gated.clear()
    fetch()
    assert {token for _, _, token in hub.asked} == {""}, "without a token none is sent, whatever this machine has"


REFUSED = {
    "gated, and no token": ({"gated": ["org/tiny"]}, "", {}, "token-required"),
    "gated, and another's token": ({"gated": ["org/tiny"], "tokens": {"hf_good": []}}, "hf_good", {}, "access-denied"),
    "a wrong token": ({"gated": ["org/tiny"]}, "hf_wrong", {}, "token-refused"),
    "a wrong token for an open model": ({}, "hf_wrong", {}, "token-refused"),
    "private, to a stranger": ({"private": ["org/tiny"]}, "", {}, "no-repository"),
    "private, to another": ({"private": ["org/tiny"], "tokens": {"hf_good": []}}, "hf_good", {}, "no-repository"),
    "no such model": ({}, "", {"repository": "org/none"}, "no-repository"),
    "no such revision": ({}, "", {"revision": "v9"}, "no-revision"),
    "no such commit": ({}, "", {"commit": "d" * 40}, "no-revision"),
    "the hub is ill": ({"status": 503}, "", {}, "unreachable"),
    "too many requests": ({"status": 429}, "", {}, "unreachable"),
    "cut for good": ({"cut_after": 0}, "", {}, "interrupted"),
}


@pytest.mark.parametrize(("faults", "token", "changes", "kind"), REFUSED.values(), ids=REFUSED)
def test_each_refusal_comes_out_as_itself(  # noqa: PLR0917  the table's columns and two fixtures
    fetch: Download, settings: Settings, faults: dict[str, object], token: str, changes: dict[str, str], kind: str
) -> None:
    for name, value in faults.items():
        setattr(settings, name, value)
    with pytest.raises(Exception) as caught:  # noqa: PT011  whatever the library raises
        fetch(token, **changes)
    failure = failure_of(caught.value, with_token=bool(token), begun=False)
    assert failure.kind == kind, (failure.kind, failure.detail)


def test_nobody_listens(fetch: Download) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  as above
        fetch(endpoint="http://127.0.0.1:1")
    failure = failure_of(caught.value, with_token=False, begun=False)
    assert failure.kind == "unreachable"
    assert "refused" in failure.detail


def test_a_connection_cut_again_and_again_goes_on_where_it_was(
    fetch: Download, hub: Hub, settings: Settings, tmp_path: Path
) -> None:
    settings.cut_after = PIECE_BYTES + 2**18
    fetch()
    assert (tmp_path / "model/model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert len([path for _, path, _ in hub.asked if path.startswith("/cdn/")]) == 3


def test_a_repository_without_safetensors_is_refused_before_anything_is_taken(fetch: Download, hub: Hub, tmp_path: Path) -> None:
    (hub.folder / "org/tiny/model.safetensors").unlink()
    with pytest.raises(Failure) as caught:
        fetch()
    assert caught.value.kind == "no-safetensors"
    assert not (tmp_path / "model").exists()


def test_a_volume_that_is_too_small_is_told_before_anything_is_taken(
    fetch: Download, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: argparse.Namespace(free=1000))
    with pytest.raises(Failure) as caught:
        fetch()
    assert (caught.value.kind, caught.value.detail) == ("full", "1000")
    assert not [path for _, path, _ in hub.asked if "/resolve/" in path]


def test_a_file_may_be_as_large_as_the_library_takes(fetch: Download, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/models.md").read_text()
    assert (
        f"One file may have at most {constants.MAX_HTTP_DOWNLOAD_SIZE / 10**9:g} GB; with a larger one it is `DownloadFailed`"
        in text
    )
    most = len(FILES["model.safetensors"])
    monkeypatch.setattr(constants, "MAX_HTTP_DOWNLOAD_SIZE", most)
    fetch()
    (hub.folder / "org/large").mkdir()
    (hub.folder / "org/large/model.safetensors").write_bytes(bytes(most + 1))
    with pytest.raises(Failure) as caught:
        fetch(repository="org/large")
    assert (caught.value.kind, "The file is too large" in caught.value.detail) == ("failed", True)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_meanwhile(fetch: Download, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(code, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(Failure) as caught:
        fetch()
    assert caught.value.kind == "full"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModuleNotFoundError("No module named 'huggingface_hub'"), "no-library"),
        (KeyError("sha"), "failed"),
        (OSError("Consistency check failed: file should be of size 5 but has size 4 (x)"), "interrupted"),
        (ConnectionResetError(104, "reset"), "interrupted"),
        (PermissionError(13, "Permission denied"), "failed"),
    ],
)
def test_other_errors(error: Exception, kind: str) -> None:
    assert failure_of(error, with_token=False, begun=True).kind == kind


def test_which_files_are_wanted() -> None:
    assert wanted(["b.safetensors", "a.json", "x/y.safetensors", "x.pt", "x.pth", "x.bin", ".x.json", "x.gguf"]) == [
        "a.json",
        "b.safetensors",
    ]
    assert {Path(name).suffix for name in TAKEN} == set(download.SUFFIXES) - {".tiktoken"}


def test_bytes_of_whole_and_begun_files_count(tmp_path: Path) -> None:
    assert on_disk(tmp_path / "nowhere") == 0
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/x.incomplete").write_bytes(b"123")
    (tmp_path / "y").write_bytes(b"45")
    assert on_disk(tmp_path) == 5
