"""The fields of spec, read from the CRD itself: a field that is added tomorrow is here tomorrow."""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.control_plane.conftest import CRD
from tests.objects import Object

EACH = "*"
"""In a field's path: any item of a list, any value of a map."""
VALIDATIONS = "x-kubernetes-validations"
INT_OR_STRING = "x-kubernetes-int-or-string"

Place = tuple[str | int, ...]
"""Where a field is in one object: keys and indices, from `spec` on."""


@dataclass(frozen=True)
class Field:
    """A field, an item of a list or a value of a map."""

    path: tuple[str, ...]
    schema: Object

    @property
    def name(self) -> str:
        return dotted(self.path)


def spec_schema() -> Object:
    """The schema of spec in the CRD of this tree."""
    versions = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    schema: Object = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def fields(schema: Object, path: tuple[str, ...] = ("spec",)) -> Iterator[Field]:
    """The field of this schema and all below it."""
    yield Field(path, schema)
    for name, child in schema.get("properties", {}).items():
        yield from fields(child, (*path, name))
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from fields(schema[key], (*path, EACH))


@dataclass(frozen=True)
class Rule:
    """A CEL rule: at which field it is told, and what of its message stays the same whatever the value."""

    path: tuple[str, ...]
    words: str
    of_change: bool
    """Whether it compares with what was there before."""


def rules(schema: Object) -> Iterator[Rule]:
    """All CEL rules of a schema."""
    for field in fields(schema):
        for rule in field.schema.get(VALIDATIONS, ()):
            at = tuple(part for part in rule.get("fieldPath", "").split(".") if part)
            yield Rule((*field.path, *at), fixed_words(rule), "oldSelf" in rule["rule"])


def fixed_words(rule: Object) -> str:
    """The message; where it is an expression, the longest of the texts that it is put together from."""
    if "messageExpression" not in rule:
        return str(rule["message"])
    parts = re.findall(r"'((?:[^'\\]|\\.)*)'", rule["messageExpression"])
    longest: str = max(parts, key=len)
    return longest.replace("\\'", "'")


def dotted(place: Place) -> str:
    """As the API server writes it: spec.engine.env[0].name."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def pattern(path: Place) -> re.Pattern[str]:
    """What the API server may write for a field, whichever item or key it is."""
    return re.compile("".join(r"(\[\d+\]|\..+)" if part == EACH else re.escape(f".{part}") for part in path)[2:])


def places(spec: Any, path: tuple[str, ...], at: Place = ("spec",)) -> Iterator[Place]:
    """Where a spec has that field."""
    if len(path) == 1:
        yield at
    elif path[1] != EACH:
        if isinstance(spec, dict) and path[1] in spec:
            yield from places(spec[path[1]], path[1:], (*at, path[1]))
    elif isinstance(spec, (dict, list)):
        for key, value in spec.items() if isinstance(spec, dict) else enumerate(spec):
            yield from places(value, path[1:], (*at, key))


def look(spec: Any, place: Place) -> Any:
    """What a spec has at a place."""
    for part in place[1:]:
        spec = spec[part]
    return spec


def put(spec: Object, place: Place, value: Any) -> Object:
    """The spec with this value at that place, for which there must be room."""
    if len(place) == 1:
        replaced: Object = copy.deepcopy(value)
        return replaced
    made = copy.deepcopy(spec)
    look(made, place[:-1])[place[-1]] = copy.deepcopy(value)
    return made


def without(spec: Object, place: Place) -> Object:
    """The spec without what is at that place."""
    made = copy.deepcopy(spec)
    del look(made, place[:-1])[place[-1]]
    return made
