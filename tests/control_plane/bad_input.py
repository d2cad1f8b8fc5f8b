"""What the schema alone says cannot be right, for each field: made from the bounds that stand in the CRD."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.control_plane.crd_fields import INT_OR_STRING, Field, Place, dotted, look, put, without
from tests.objects import Object

UNKNOWN = "noSuchField"
WRONG_TYPE: dict[str, Any] = {"string": {}, "integer": "7", "boolean": "true", "object": "x", "array": "x"}
"""For each type a value of another one that people may write."""
BOUNDS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any], str]]] = {
    "enum": (lambda _, known: f"{known[0]}X", lambda known: f'supported values: "{known[0]}"'),
    "minimum": (lambda _, bound: bound - 1, lambda bound: f"greater than or equal to {bound}"),
    "maximum": (lambda _, bound: bound + 1, lambda bound: f"less than or equal to {bound}"),
    "minLength": (lambda _, bound: "a" * (bound - 1), lambda bound: f"at least {bound} chars"),
    "maxLength": (lambda _, bound: "a" * (bound + 1), str),
    "minItems": (lambda value, bound: value[: bound - 1], lambda bound: f"at least {bound} items"),
    "maxItems": (lambda value, bound: value[:1] * (bound + 1), str),
    "maxProperties": (lambda value, bound: {f"key-{n}": next(iter(value.values())) for n in range(bound + 1)}, str),
}
"""A bound of the schema -> a wrong value, out of a right one and the bound, and what the answer must then hold."""
KNOWN = frozenset({*BOUNDS, "required", "type", "properties", "items", "additionalProperties", "default", "description"})
"""What a schema may say; whatever else stands there, but for x-kubernetes-…, would go without a case."""


@dataclass(frozen=True)
class Bad:
    """One thing that is wrong with a spec which is right otherwise."""

    what: str
    spec: Object
    place: str
    """As the API server must name it."""
    words: str
    """What its answer must hold: an allowed value, or the bound."""


def wrong_ways(schema: Object) -> set[str]:
    """In how many ways a value for this schema can be wrong, by name."""
    ways = {"type", *(bound for bound in (*BOUNDS, "required") if bound in schema)}
    ways |= {"unknown"} if "properties" in schema else set()
    return ways | ({"duplicate"} if schema.get("x-kubernetes-list-type") == "map" else set())


def bad_specs(field: Field, spec: Object, place: Place) -> Iterator[Bad]:
    """That spec, which has the field there, with the field wrong in each way."""
    schema, name, value = field.schema, dotted(place), look(spec, place)
    either = bool(schema.get(INT_OR_STRING))
    kind = "integer,string" if either else schema["type"]
    yield Bad("type", put(spec, place, True if either else WRONG_TYPE[kind]), name, f"must be of type {kind}")
    for bound, (wrong, words) in BOUNDS.items():
        if bound in schema:
            yield Bad(bound, put(spec, place, wrong(value, schema[bound])), name, words(schema[bound]))
    for required in schema.get("required", ()):
        missing = (*place, required)
        yield Bad("required", without(spec, missing), dotted(missing), "Required value")
    if "properties" in schema:
        yield Bad("unknown", put(spec, (*place, UNKNOWN), 1), dotted((*place, UNKNOWN)), "unknown field")
    if schema.get("x-kubernetes-list-type") == "map":
        yield Bad("duplicate", put(spec, place, [value[0], value[0]]), f"{name}[1]", "Duplicate value")
