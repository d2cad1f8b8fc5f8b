"""The reading of the audit log on which the lanes with an API server rely."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.rights import GRANTED, assert_no_other_was_asked_for, of_operators, used

OPERATOR = "system:serviceaccount:fairlead-system:fairlead-operator"


def line(verb: str, resource: str, *, group: str = "", user: str = OPERATOR, code: int = 200, **more: str) -> str:
    reference = {"resource": resource, "apiGroup": group, **more}
    entry: dict[str, Any] = {"verb": verb, "user": {"username": user}, "objectRef": reference, "responseStatus": {"code": code}}
    return json.dumps(entry) + "\n"


def log_of(tmp_path: Path, *lines: str) -> Path:
    log = tmp_path / "audit.log"
    log.write_text("".join(lines))
    return log


def test_a_patch_that_makes_its_object_takes_two_rights(tmp_path: Path) -> None:
    log = log_of(tmp_path, line("patch", "services", code=201), line("patch", "deployments", group="apps"))
    assert used(of_operators(log)) == {("", "services", "patch"), ("", "services", "create"), ("apps", "deployments", "patch")}
    assert used(of_operators(log)) < GRANTED


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (line("get", "secrets", code=403), "secrets"),
        (line("list", "secrets", user="system:serviceaccount:fairlead-system:another"), "secrets"),
        (line("delete", "pods"), "without a right"),
        (line("create", "pods", subresource="exec"), "without a right"),
        (line("patch", "modeldeployments", group="serving.fairlead.dev"), "without a right"),
    ],
)
def test_what_the_chart_does_not_grant_is_found_though_it_was_refused(tmp_path: Path, asked: str, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        assert_no_other_was_asked_for(log_of(tmp_path, line("watch", "pods"), asked))


def test_others_may_do_as_they_please_and_half_a_line_is_not_read(tmp_path: Path) -> None:
    of_kubernetes = [line("get", "secrets", user=f"system:serviceaccount:kube-system:{name}") for name in ("a", "b")]
    log = log_of(tmp_path, *of_kubernetes, line("get", "secrets", user="kubernetes-admin"), line("get", "secrets")[:-20])
    assert_no_other_was_asked_for(log)


def test_what_was_before_a_mark_is_left_out(tmp_path: Path) -> None:
    before = line("get", "secrets")
    assert_no_other_was_asked_for(log_of(tmp_path, before, line("watch", "pods")), since=len(before))
