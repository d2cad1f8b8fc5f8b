"""Specs that are right, in which the generated tests change one thing: between them they have every field of the CRD."""

from typing import Any

from tests.control_plane.crd_fields import INT_OR_STRING, Place, fields, look, places, put
from tests.control_plane.test_crd_admission import ACCEPTED, model_deployment
from tests.examples import model_deployments
from tests.objects import Object
from tests.unit.resources.cases import CASES

SEEDS: dict[str, Object] = {
    **{f"golden {name}": mdep.spec.to_wire() for name, (mdep, _) in CASES.items()},
    **{where: mdep["spec"] for where, mdep in model_deployments().items()},
    **{f"accepted {name}": model_deployment(spec)["spec"] for name, spec in ACCEPTED.items()},
}
"""From the tables of other tests: who adds a field has it there, or its object; what is in no table gets an `example`."""


def home(path: tuple[str, ...], schema: Object) -> tuple[Object, Place]:
    """A spec that has the field of that path, and where; the field there has items or keys, if any spec's has.

    Where no spec has it, one is made that does, as far as the schema alone says how.
    """
    found = [(spec, place) for spec in SEEDS.values() for place in places(spec, path)]
    if found:
        return max(found, key=lambda each: bool(look(*each)))
    above = next(field.schema for field in fields(schema) if field.path == path[:-1])
    own = next(field.schema for field in fields(schema) if field.path == path)
    spec, place = home(path[:-1], schema)
    there: Place = (*place, 0 if "items" in above else path[-1])
    return put(spec, there, example(own)) if "items" not in above else put(spec, place, [example(own)]), there


def example(schema: Object) -> Any:
    """A value that the schema lets through, for a field that no spec has."""
    kind = "string" if schema.get(INT_OR_STRING) else schema["type"]
    if "default" in schema:
        return schema["default"]
    if kind == "object":
        return {name: example(schema["properties"][name]) for name in schema.get("required", ())}
    if kind == "array":
        return [example(schema["items"])]
    simple = {"boolean": True, "integer": schema.get("minimum", 1), "string": "a" * schema.get("minLength", 1)}
    return schema["enum"][0] if "enum" in schema else simple[kind]
