from pathlib import Path

import pytest

from tests.cluster import tools
from tests.cluster.errors import ClusterError


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("k8s", {"kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"}),
        ("etcd", {"server"}),
        ("cri", {"containerd", "containerd-shim-runc-v2", "ctr"}),
        ("cni", {"bridge", "host-local", "loopback", "portmap", "ptp"}),
        ("helm", {"helm"}),
        ("actionlint", {"actionlint"}),
        ("kind", {"kind"}),
        ("kwok", {"kwok"}),
        ("netpol", {"cmd"}),
        ("verdict", {"verdict"}),
    ],
)
def test_the_programs_of_each_module_are_read_from_its_go_mod(module: str, expected: set[str]) -> None:
    assert set(tools.programs(module)) == expected


def test_every_module_folder_is_known() -> None:
    assert {each.name for each in tools.MODULES_AT.iterdir() if each.is_dir()} == set(tools.MODULES)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("go1.26.8", (1, 26, 8)), ("1.26.0", (1, 26, 0)), ("go1.27rc1", (1, 27)), ("go1.26-custom", (1, 26)), ("devel", ())],
)
def test_versions_compare_as_numbers(version: str, expected: tuple[int, ...]) -> None:
    assert tools.numbers(version) == expected


def test_a_minor_version_of_two_digits_is_newer_than_one_of_one() -> None:
    assert tools.numbers("go1.9.7") < tools.numbers("go1.26.0")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules of our own, with a Go beside them that says what the test wants."""
    for module in tools.MODULES:
        (tmp_path / "go" / module).mkdir(parents=True)
        (tmp_path / "go" / module / "go.mod").write_text(
            f"module {module}\n\ngo 1.26.3\n\ntool example.org/cmd/{module}-program\n"
        )
        (tmp_path / "go" / module / "go.sum").write_text("")
    monkeypatch.setattr(tools, "MODULES_AT", tmp_path / "go")
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    return tmp_path


def fake_go(home: Path, version: str, toolchain: str = "local") -> None:
    """Answers `go env` and, for `go install`, writes one program and a line into installs."""
    (home / "path").mkdir(exist_ok=True)
    go = home / "path" / "go"
    go.write_text(f"""#!/bin/sh
case "$1 $2" in
  "env GOVERSION") echo {version} ;;
  "env GOTOOLCHAIN") echo {toolchain} ;;
  install*) touch "$GOBIN/$(basename "$PWD")-program"; echo "$PWD" >>{home}/installs ;;
esac
""")
    go.chmod(0o755)


def installs(home: Path) -> int:
    log = home / "installs"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_a_module_is_built_once_per_content(modules: Path) -> None:
    fake_go(modules, "go1.26.8")
    cache = modules / "cache"
    first = tools.ensure(cache, ["etcd"])
    assert first.path("etcd-program").exists()
    assert tools.ensure(cache, ["etcd"]) == first
    assert installs(modules) == 1
    (modules / "go" / "etcd" / "go.sum").write_text("changed\n")
    second = tools.ensure(cache, ["etcd"])
    assert installs(modules) == 2
    assert second != first
    assert first.path("etcd-program").exists(), "an older clone still uses it"


def test_a_program_of_our_own_is_built_anew_when_its_source_changes(modules: Path) -> None:
    fake_go(modules, "go1.26.8")
    source = modules / "go" / "verdict" / "main.go"
    source.write_text("package main\n")
    first = tools.ensure(modules / "cache", ["verdict"])
    source.write_text("package main // changed\n")
    assert tools.ensure(modules / "cache", ["verdict"]) != first
    assert installs(modules) == 2


def test_another_go_builds_anew(modules: Path) -> None:
    fake_go(modules, "go1.26.8")
    tools.ensure(modules / "cache", ["etcd"])
    fake_go(modules, "go1.26.9")
    tools.ensure(modules / "cache", ["etcd"])
    assert installs(modules) == 2


def test_half_a_build_is_neither_used_nor_kept(modules: Path) -> None:
    fake_go(modules, "go1.26.8")
    leftover = modules / "cache" / "tools" / ".building-killed"
    leftover.mkdir(parents=True)
    tools.ensure(modules / "cache", ["cni"])
    assert not leftover.exists()
    assert installs(modules) == 1


def test_a_program_that_was_not_built_is_named(modules: Path) -> None:
    fake_go(modules, "go1.26.8")
    (modules / "go" / "cni" / "go.mod").write_text(
        "go 1.26.3\n\ntool (\n\texample.org/cmd/cni-program\n\texample.org/cmd/lost\n)\n"
    )
    with pytest.raises(ClusterError, match="lost"):
        tools.ensure(modules / "cache", ["cni"])


def test_an_old_go_is_told_in_one_sentence(modules: Path) -> None:
    fake_go(modules, "go1.25.1")
    with pytest.raises(ClusterError) as told:
        tools.ensure(modules / "cache", ["etcd"])
    assert "go1.25.1" in str(told.value)
    assert "1.26.3" in str(told.value)
    assert "\n" not in str(told.value)
    assert installs(modules) == 0


def test_an_old_go_that_fetches_a_newer_one_is_let_work(modules: Path) -> None:
    fake_go(modules, "go1.25.1", toolchain="auto")
    assert tools.ensure(modules / "cache", ["etcd"]).path("etcd-program").exists()


def test_a_missing_go_is_told_with_the_version_to_install(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(modules / "nothing"))
    with pytest.raises(ClusterError, match=r"Go is not installed.*1\.26\.3"):
        tools.ensure(modules / "cache", ["etcd"])


def test_a_program_is_found_by_its_name_and_its_module_alone_is_built(modules: Path) -> None:
    fake_go(modules, "go1.26.8")
    assert tools.program(modules / "cache", "cni-program").name == "cni-program"
    assert installs(modules) == 1
    with pytest.raises(ClusterError, match="kube-nothing"):
        tools.program(modules / "cache", "kube-nothing")


def test_an_unknown_module_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"no module kubernetes: use one of k8s, etcd"):
        tools.ensure(tmp_path, ["kubernetes"])
