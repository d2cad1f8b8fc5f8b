"""Each field of spec does something, and what it does is what is said of it: no API server, for all fields at once."""

from collections.abc import Iterator

import pytest

from fairlead.api.model_deployment import ModelDeployment
from fairlead.resources import build, validate
from fairlead.resources.names import APPLIED_HASH_ANNOTATION
from tests.control_plane.changes import PROPERTIES, SCHEMA
from tests.control_plane.crd_fields import Field, Place, look, places, put, without
from tests.control_plane.field_children import ALSO, ONE_VALUE, children_of, may_change
from tests.control_plane.seeds import SEEDS, home
from tests.control_plane.test_crd_admission import model_deployment
from tests.objects import Object
from tests.unit.resources.cases import CONTEXT

FIELDS = {field.name: field for field in PROPERTIES}


def children(spec: Object) -> Object | None:
    """What is built from the spec, by kind, without the note of what was applied; None: it is not a valid one."""
    try:
        mdep = ModelDeployment.model_validate({**model_deployment(), "spec": spec})
        if validate(mdep, CONTEXT):
            return None
        made = build(mdep, CONTEXT)
    except ValueError:  # what a rule of the CRD would have refused
        return None
    for each in made:
        each["metadata"]["annotations"].pop(APPLIED_HASH_ANNOTATION)
    return {each["kind"]: each for each in made}


def others(field: Field, spec: Object, place: Place) -> Iterator[Object]:
    """The spec without the field, and with it otherwise."""
    yield without(spec, place)
    known = [look(each, there) for each in SEEDS.values() for there in places(each, field.path)] or [look(spec, place)]
    for value in [value for number, value in enumerate(known) if value not in known[:number]]:
        yield put(spec, place, value)
        if isinstance(value, bool):
            yield put(spec, place, not value)
        elif isinstance(value, int):
            yield put(spec, place, value + 1)
        elif isinstance(value, str):
            yield put(spec, place, f"{value}x")


@pytest.mark.parametrize("name", FIELDS)
def test_what_changes_with_a_field(name: str) -> None:
    field = FIELDS[name]
    spec, place = home(field.path, SCHEMA)
    before = children(spec)
    assert before is not None
    changed: set[str] = set()
    for other in others(field, spec, place):
        after = children(other)
        if after is not None:
            different = {kind for kind in before.keys() | after.keys() if before.get(kind) != after.get(kind)}
            assert different <= may_change(spec, other)
            changed |= different
    assert changed == (set() if name in ONE_VALUE else children_of(field))


def test_every_row_is_about_a_field() -> None:
    assert {name for names in ALSO.values() for name in names} | ONE_VALUE <= FIELDS.keys()
