"""What the tests read in an API server's audit log: whose requests, where, and only lines that are there as a whole."""

import json
from pathlib import Path

import pytest

from tests.audit import Audit


def line(user: str, namespace: str, verb: str, resource: str) -> str:
    place = {"namespace": namespace, "resource": resource}
    return json.dumps({"user": {"username": user}, "verb": verb, "requestURI": f"/{namespace}/{resource}", "objectRef": place})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = [
        line("operator", "a", "get", "pods"),
        line("operator", "a", "patch", "services"),
        line("operator", "a", "update", "leases"),
        line("controller", "a", "create", "pods"),
        line("operator", "b", "delete", "configmaps"),
        json.dumps({"user": {}, "verb": "get", "requestURI": "/readyz"}),
    ]
    (tmp_path / "audit.log").write_text("\n".join([*lines, line("operator", "a", "create", "events")]))
    return tmp_path / "audit.log"


@pytest.mark.parametrize(
    ("user", "namespace", "written"),
    [
        ("operator", "a", ["patch /a/services"]),
        ("operator", None, ["patch /a/services", "delete /b/configmaps"]),
        (None, "a", ["patch /a/services", "create /a/pods"]),
        (None, None, ["patch /a/services", "create /a/pods", "delete /b/configmaps"]),
    ],
)
def test_writes_of_one_or_all_in_one_namespace_or_all(
    log: Path, user: str | None, namespace: str | None, written: list[str]
) -> None:
    """A Lease is none of them, nor is the last line while its end is not there."""
    assert Audit(log, user, namespace).writes(0) == written


def test_a_mark_is_where_the_last_whole_line_ends(log: Path) -> None:
    audit = Audit(log, "operator")
    mark = audit.mark()
    assert audit.requests(mark) == []
    with log.open("a") as more:
        more.write("\n")
    assert audit.writes(mark) == ["create /a/events"]
