"""What the operator asks the API server for, as the audit log has it, beside what the chart grants."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.unit.chart.test_rbac import LEASE, OPERATOR

Right = tuple[str, str, str]
"""API group, resource (with a subresource after a slash), verb."""
Entry = dict[str, Any]

GRANTED: frozenset[Right] = frozenset(
    (group, resource, verb)
    for (group, resource), verbs in (
        *OPERATOR.items(),
        *(((rule["apiGroups"][0], rule["resources"][0]), rule["verbs"]) for rule in LEASE),
    )
    for verb in verbs
)
ACCOUNTS = "system:serviceaccount:"
KUBERNETES_OWN = "system:serviceaccount:kube-system:"


def of_operators(log: Path, since: int = 0) -> Iterator[Entry]:
    """What service accounts have asked for since a place in the log: nobody has one here but operators and Kubernetes itself."""
    with log.open("rb") as lines:
        lines.seek(since)
        for line in lines:
            # The last one may be half there.
            if line.endswith(b"\n") and ACCOUNTS.encode() in line:
                entry: Entry = json.loads(line)
                name = entry["user"].get("username", "")
                if name.startswith(ACCOUNTS) and not name.startswith(KUBERNETES_OWN):
                    yield entry


def used(entries: Iterable[Entry]) -> set[Right]:
    """The rights that requests take. A patch that makes its object, which is answered with 201, takes two."""
    rights = set()
    for each in entries:
        of = each.get("objectRef")
        if of is not None:
            resource = "/".join(filter(None, (of.get("resource"), of.get("subresource"))))
            made = each["verb"] == "patch" and each.get("responseStatus", {}).get("code") == 201
            rights |= {(of.get("apiGroup", ""), resource, verb) for verb in (each["verb"], *(["create"] if made else []))}
    return rights


def assert_no_other_was_asked_for(log: Path, since: int = 0) -> None:
    """Of all operators, whatever became of the requests: secrets never, and nothing else that the chart does not grant."""
    asked = used(of_operators(log, since))
    assert not [right for right in asked if right[1].partition("/")[0] == "secrets"], "an operator asked for secrets"
    assert asked - GRANTED == set(), "requests without a right"
