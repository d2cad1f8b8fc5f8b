"""Where the CRDs of Flux and Argo CD come from: modules whose hash is known, or nothing."""

import json
import zipfile
from pathlib import Path

import pytest

from tests.cluster.errors import ClusterError
from tests.gitops import crds

SOURCE = crds.Source("example.org/tool", "v1.0.0", "h1:good=", ("install.yaml",))
INSTALL = "kind: Deployment\n---\nkind: CustomResourceDefinition\nmetadata: {name: things.example.org}\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(crds, "SOURCES", (SOURCE,))
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    (tmp_path / "path").mkdir()
    return tmp_path / "cache"


def fake_go(cache: Path, **told: str) -> None:
    """A Go that hands over the module, and tells so much of it; each call is a line in calls."""
    home = cache.parent
    with zipfile.ZipFile(home / "module.zip", "w") as module:
        module.writestr("example.org/tool@v1.0.0/install.yaml", INSTALL)
    (home / "answer").write_text(json.dumps({"Zip": str(home / "module.zip"), **told}))
    go = home / "path" / "go"
    go.write_text(f'#!/bin/sh\necho "$@" >>{home}/calls\ncat {home}/answer\nexit 1\n')
    go.chmod(0o755)


def test_the_crds_of_a_module_are_kept_without_what_is_beside_them(cache: Path) -> None:
    fake_go(cache, Sum="h1:good=", Error="requires a newer Go")
    kept = json.loads(crds.ensure(cache).read_text())
    assert [each["metadata"]["name"] for each in kept["items"]] == ["things.example.org"]


def test_they_are_fetched_once(cache: Path) -> None:
    fake_go(cache, Sum="h1:good=")
    assert crds.ensure(cache) == crds.ensure(cache)
    assert (cache.parent / "calls").read_text() == "mod download -json example.org/tool@v1.0.0\n"


@pytest.mark.parametrize(
    ("told", "words"),
    [({"Sum": "h1:other="}, "its hash is h1:other= instead of h1:good="), ({"Error": "no such host"}, "no such host")],
    ids=["another module", "nothing came"],
)
def test_anything_else_is_refused(cache: Path, told: dict[str, str], words: str) -> None:
    fake_go(cache, **told)
    with pytest.raises(ClusterError, match=words):
        crds.ensure(cache)
    assert not list(cache.glob("*.json"))


def test_a_missing_go_is_told(cache: Path) -> None:
    with pytest.raises(ClusterError, match="Go is not installed"):
        crds.ensure(cache)
