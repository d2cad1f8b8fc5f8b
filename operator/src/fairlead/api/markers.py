"""What the CRD says about a field and pydantic has no word for: put in `Annotated[...]`, read by `crd.py`.

Each marker adds its `x-kubernetes-…` key to the JSON schema of the type that it annotates. Pydantic itself ignores them:
the API server enforces the rules, and `model_validate` only reads what the API server has let through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema

VALIDATIONS = "x-kubernetes-validations"
ALLOWABLE = "x-fairlead-allowable"
"""Key of a validation that a cluster admin may take out: the engine flag that it refuses. Never reaches an API server."""


class _Marker:
    """Adds `keys()` to the schema of the annotated type."""

    def keys(self) -> dict[str, Any]:
        raise NotImplementedError

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), **self.keys()}


@dataclass(frozen=True, kw_only=True)
class Cel(_Marker):
    """One validation rule. `message` names the path and an allowed value; `message_expression` says it with the value at hand."""

    rule: str
    message: str
    message_expression: str = ""
    reason: Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"] = "FieldValueInvalid"
    field_path: str = ""
    allowable_flag: str = ""

    def rendered(self) -> dict[str, str]:
        """The rule as an item of `x-kubernetes-validations`."""
        item = {
            ALLOWABLE: self.allowable_flag,
            "fieldPath": self.field_path,
            "message": self.message,
            "messageExpression": self.message_expression,
            "reason": self.reason,
            "rule": self.rule,
        }
        return {key: value for key, value in item.items() if value}

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        inner = handler(schema)
        return {**inner, VALIDATIONS: [*inner.get(VALIDATIONS, []), self.rendered()]}


@dataclass(frozen=True)
class Rules(_Marker):
    """Several validation rules at once."""

    rules: tuple[Cel, ...]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        inner = handler(schema)
        return {**inner, VALIDATIONS: [*inner.get(VALIDATIONS, []), *(rule.rendered() for rule in self.rules)]}


@dataclass(frozen=True)
class ListMap(_Marker):
    """A list whose items are told apart by `by`: server-side apply then merges items instead of replacing the list."""

    by: tuple[str, ...]

    def keys(self) -> dict[str, Any]:
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(self.by)}


@dataclass(frozen=True)
class Atomic(_Marker):
    """A list that has one owner as a whole."""

    def keys(self) -> dict[str, Any]:
        return {"x-kubernetes-list-type": "atomic"}


@dataclass(frozen=True)
class IntOrString(_Marker):
    """An integer or a string; the schema then has no `type`. CEL's cost estimate needs `max_length` of the string."""

    max_length: int

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        handler(schema)
        return {"maxLength": self.max_length, "x-kubernetes-int-or-string": True}


@dataclass(frozen=True)
class PreserveUnknown(_Marker):
    """An object that is handed on as it is: the API server keeps fields that the schema does not list."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        handler(schema)
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
