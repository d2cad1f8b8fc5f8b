"""The base of every model of the API, and the scalar types that several of them use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from fairlead.api.markers import VALIDATIONS, Cel, IntOrString

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema

GROUP = "serving.fairlead.dev"
VERSION = "v1alpha1"
API_VERSION: Final = "serving.fairlead.dev/v1alpha1"
KIND: Final = "ModelDeployment"
PLURAL = "modeldeployments"


class ApiModel(BaseModel):
    """A part of a ModelDeployment: camelCase on the wire, immutable, and no field that it does not know."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )
    rules: ClassVar[tuple[Cel, ...]] = ()
    """CEL rules over the whole object."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        rendered = handler(schema)
        if not cls.rules:
            return rendered
        target = handler.resolve_ref_schema(rendered)
        target[VALIDATIONS] = [rule.rendered() for rule in cls.rules]
        return rendered

    def to_wire(self) -> dict[str, Any]:
        """The object as Kubernetes writes it: camelCase, lists (not tuples), fields that are not set left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


QuantityStr = Annotated[StrictInt | StrictStr, IntOrString(max_length=32)]
"""A Kubernetes quantity as people write it, a number or a string. Strict, or `True` would pass as the integer 1."""

FlagValue = Annotated[StrictInt | StrictStr, IntOrString(max_length=8192)]
"""The value of an engine flag: long enough for a chat template in one line, short enough for the cost limit of CEL rules."""
