"""Changes of one property of a spec, drawn from the CRD: what other specs have there, and what the schema's bounds allow."""

from typing import Any

from hypothesis import strategies as st

from tests.control_plane.crd_fields import EACH, Field, fields, look, places, spec_schema
from tests.control_plane.seeds import SEEDS, home
from tests.objects import Object

MOST_REPLICAS = 2
"""Each is a pod for which the test plays the kubelet."""

SCHEMA = spec_schema()
PROPERTIES = [
    field
    for field in fields(SCHEMA)
    # With autoscaling the number of replicas depends on what was before it, and the status is written when a reason has stood.
    if EACH not in field.path and len(field.path) > 1 and field.path[1] != "autoscaling"
]
"""Those that a patch can name; items and values of maps change with the whole that they are in."""


def values(field: Field) -> st.SearchStrategy[Any]:
    """Values for a field, nearly all of which the schema lets through; the API server is asked about the rest."""
    schema = field.schema
    if field.path == ("spec", "replicas"):
        return st.integers(0, MOST_REPLICAS)
    if schema.get("type") == "integer":
        return st.integers(schema.get("minimum"), schema.get("maximum"))
    if schema.get("type") == "boolean":
        return st.booleans()
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    known = [look(spec, place) for spec in SEEDS.values() for place in places(spec, field.path)]
    return st.sampled_from(known or [look(*home(field.path, SCHEMA))])


@st.composite
def changed(draw: st.DrawFn, spec: Object) -> tuple[str, Object]:
    """What changes, in words, and the spec with that one property other than it was, or gone."""
    field = draw(st.sampled_from(PROPERTIES))
    gone = draw(st.integers(0, 3)) == 3  # not the least, which Hypothesis tries first: most fields cannot go
    value = None if gone else draw(values(field))
    return f"{field.name}: {'gone' if gone else value!r}", _with(spec, field.path[1:], value)


def _with(spec: Object, path: tuple[str, ...], value: Any) -> Object:
    """The spec with the value there, None: without; objects on the way are made."""
    head, rest = path[0], path[1:]
    if rest:
        return {**spec, head: _with(spec.get(head) or {}, rest, value)}
    return {key: each for key, each in spec.items() if key != head} | ({} if value is None else {head: value})
