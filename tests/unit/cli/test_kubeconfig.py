"""Which kubeconfig and context a command uses, and what it says where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fairlead.cli.kubeconfig import Chosen, choose
from fairlead.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Mapping


def config(*contexts: str, current: str | None = None, namespace: str | None = None, **more: Any) -> str:
    """Contexts of these names."""
    inner = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    of_file = {"contexts": [{"name": name, "context": inner} for name in contexts]}
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    return yaml.safe_dump({**of_file, "clusters": [cluster], "current-context": current, **more})


FILES: Mapping[str, str] = {
    "one": config("a", current="a", namespace="team"),
    "two": config("a", "b", current="b"),
    "no-current": config("a", "b"),
    "gone": config("a", current="z"),
    "empty": "",
    "bare": "{}",
    "words": "words",
    "list": config(contexts=[1]),
    "broken": "a: [",
    "no-clusters": config("a", current="a", clusters=[1]),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("named", "context", "variable", "chosen"),
    [
        ("one", None, None, Chosen("one", "a", "team")),
        ("one", None, "two", Chosen("one", "a", "team")),
        (None, None, "one", Chosen("one", "a", "team")),
        (None, None, "none:two", Chosen("two", "b", "default")),
        (None, None, "one:two", Chosen("one:two", "a", "team")),
        (None, None, "empty:two:one", Chosen("two:one", "b", "default")),
        (None, "a", "two:one", Chosen("two:one", "a", "default")),
        ("no-current", "b", None, Chosen("no-current", "b", "default")),
    ],
)
def test_it_is_found_as_kubectl_finds_it(named: str | None, context: str | None, variable: str | None, chosen: Chosen) -> None:
    assert choose(named, context, {"KUBECONFIG": variable} if variable else {}) == chosen


@pytest.mark.parametrize("environment", [{}, {"KUBECONFIG": ""}], ids=["not set", "empty"])
def test_without_a_word_it_is_the_one_at_home(home: Path, environment: Mapping[str, str]) -> None:
    usual = home / ".kube" / "config"
    usual.parent.mkdir()
    usual.write_text(FILES["one"])
    assert choose(None, None, environment) == Chosen(str(usual), "a", "team")


@pytest.mark.parametrize(
    ("arguments", "variable", "says"),
    [
        pytest.param(
            [],
            None,
            "no kubeconfig, and so no cluster to ask: KUBECONFIG is not set, and there is no {home}/.kube/config; "
            "write --kubeconfig FILE, or set KUBECONFIG to its path",
            id="nothing",
        ),
        pytest.param(
            [],
            "none",
            "KUBECONFIG is none, and there is no such file; set it to a kubeconfig's path, or write --kubeconfig FILE",
            id="variable",
        ),
        pytest.param(
            ["--kubeconfig", "none"],
            "one",
            "--kubeconfig none: there is no such file; write the path of a kubeconfig",
            id="option",
        ),
        pytest.param(
            ["--kubeconfig", "no-current"],
            None,
            "no-current: names no current context; write --context with one of a, b",
            id="none",
        ),
        pytest.param(
            ["--kubeconfig", "two", "--context", "z"], None, "two: has no context z; write --context with one of a, b", id="other"
        ),
        pytest.param(["--kubeconfig", "gone"], None, "gone: has no context z; write --context with one of a", id="gone"),
        pytest.param(
            [], "empty:bare", "bare: has no context, and so no cluster; write --kubeconfig FILE with the path", id="bare"
        ),
        pytest.param([], "empty", "empty: has no context, and so no cluster; write --kubeconfig FILE with the path", id="empty"),
        pytest.param(["--kubeconfig", "words"], None, "words: is no kubeconfig; write --kubeconfig FILE", id="words"),
        pytest.param(["--kubeconfig", "list"], None, "list: is no kubeconfig; write --kubeconfig FILE", id="list"),
        pytest.param(["--kubeconfig", "broken"], None, "broken: cannot be read as YAML: ", id="broken"),
        pytest.param(["--kubeconfig", "."], None, ".: cannot be read as YAML: ", id="folder"),
        pytest.param(["--kubeconfig", "no-clusters"], None, "context a cannot be used: ", id="what the library finds"),
    ],
)
def test_what_cannot_be_used_is_told(
    arguments: list[str],
    variable: str | None,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if variable:
        monkeypatch.setenv("KUBECONFIG", variable)
    assert main(["autoscale", "explain", "chat", *arguments]) == 2
    assert says.format(home=Path.home()) in capsys.readouterr().err


def test_a_context_that_can_be_used_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing listens there: it is the cluster's turn, not the kubeconfig's."""
    assert main(["autoscale", "explain", "chat", "--kubeconfig", "one"]) == 2
    assert "reading ModelDeployment team/chat: the API server did not answer" in capsys.readouterr().err
