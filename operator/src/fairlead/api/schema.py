"""From pydantic models to the structural OpenAPI schema that a CustomResourceDefinition wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import core_schema

Schema = dict[str, Any]


class _Structural(GenerateJsonSchema):
    """Pydantic's generator, without what a structural schema must not have."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Schema:
        """`X | None` is X: a field that is not set is left out, never null."""
        return self.generate_inner(schema["schema"])

    def literal_schema(self, schema: core_schema.LiteralSchema) -> Schema:
        """Always an enum; pydantic writes `const` for a single value."""
        return {"type": "string", "enum": list(schema["expected"])}

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        """Defaults that factories make count too."""
        factory = schema.get("default_factory")
        return factory() if factory is not None else super().get_default_value(schema)  # type: ignore[call-arg]

    def sort(self, value: Schema, parent_key: str | None = None) -> Schema:
        """The order of the models: `_clean` puts the keys of each schema in order."""
        del parent_key
        return value

    def field_title_should_be_set(self, schema: Any) -> bool:
        """No titles: they only repeat the name."""
        del schema
        return False


def structural(model: type[BaseModel]) -> Schema:
    """The schema of `model`: no references, no nulls, no titles, defaults as an API server applies them.

    An object whose parts have defaults gets the default {}, which the API server then fills in part by part. Empty maps
    and lists get none: they would only clutter every object.
    """
    raw = model.model_json_schema(by_alias=True, schema_generator=_Structural)
    return _clean(raw, raw.get("$defs", {}))


# In this order in the generated files: what people look for first comes first.
_ORDER = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "properties",
    "additionalProperties",
    "items",
)


def _clean(node: Schema, definitions: dict[str, Schema]) -> Schema:
    merged = {**definitions[node["$ref"].rpartition("/")[2]], **node} if "$ref" in node else dict(node)
    for key in ("$ref", "$defs", "title"):
        merged.pop(key, None)
    if "description" in merged:
        merged["description"] = " ".join(str(merged["description"]).split())
    if "properties" in merged:
        merged.pop("additionalProperties", None)
        merged["properties"] = {name: _clean(child, definitions) for name, child in merged["properties"].items()}
    elif isinstance(merged.get("additionalProperties"), dict):
        merged["additionalProperties"] = _clean(merged["additionalProperties"], definitions)
    if "items" in merged:
        merged["items"] = _clean(merged["items"], definitions)
    _clean_default(merged)
    rank = {key: position for position, key in enumerate(_ORDER)}
    return dict(sorted(merged.items(), key=lambda item: (rank.get(item[0], len(_ORDER)), item[0])))


def _clean_default(node: Schema) -> None:
    default = node.get("default")
    if "properties" in node and isinstance(default, dict):
        node["default"] = {}
    elif default is None or default in ([], {}, ""):
        node.pop("default", None)
