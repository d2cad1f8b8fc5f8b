import re

from fairlead.api import docs, generated
from fairlead.api.conditions import ConditionType, Reason
from fairlead.api.engine_flags import OWNED_FLAGS, REFUSED_FLAGS


def first_cells(page: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)


def test_committed_pages_are_up_to_date() -> None:
    assert generated.stale(docs.files()) == []


def test_every_field_once() -> None:
    page, _, rules = docs.model_deployment_page().partition("## Rules")
    fields = first_cells(page)
    assert len(fields) == len(set(fields))
    assert {
        "spec.replicas",
        "spec.engine.args",
        "spec.engine.env[].valueFrom.secretKeyRef.key",
        "status.conditions[].type",
    } <= set(fields)
    assert "| `spec.replicas` | integer | `2` | 0 to 1000 | How many replicas serve the model." in page
    assert "| `spec.model.uri` | string | required | 1 to 1024 characters |" in page
    assert "`spec.rollout`" in rules


def test_every_reason_and_type() -> None:
    cells = first_cells(docs.conditions_page())
    assert cells == [*ConditionType, *Reason]


def test_every_flag() -> None:
    assert set(OWNED_FLAGS) | set(REFUSED_FLAGS) <= set(first_cells(docs.engine_flags_page()))
