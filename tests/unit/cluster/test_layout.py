from pathlib import Path

import pytest

from tests.cluster.layout import Layout, cache_root


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"FAIRLEAD_CACHE": "/big/disk", "XDG_CACHE_HOME": "/xdg"}, "/big/disk"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/fairlead"),
        ({"FAIRLEAD_CACHE": "", "XDG_CACHE_HOME": ""}, str(Path.home() / ".cache/fairlead")),
        ({}, str(Path.home() / ".cache/fairlead")),
    ],
)
def test_the_cache_lies_where_the_environment_says(environ: dict[str, str], expected: str) -> None:
    assert cache_root(environ) == Path(expected)


def test_a_relative_cache_does_not_move_with_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache_root({"FAIRLEAD_CACHE": "here"}) == tmp_path / "here"


def test_two_clones_share_the_cache_and_nothing_else() -> None:
    one, two = (Layout(Path("/cache"), Path(clone)) for clone in ("/home/a/repo", "/home/b/repo"))
    assert one.cache == two.cache
    for name in ("name", "state", "lock", "netns", "kubeconfig", "audit_log", "gpus", "models", "containerd_socket"):
        assert getattr(one, name) != getattr(two, name), name


def test_the_name_fits_a_network_link() -> None:
    # IFNAMSIZ is 16, its final zero included.
    assert len(Layout(Path("/cache"), Path("/any/where")).name) <= 15
