"""The reference pages, made from the models: docs/reference/*.md.

`python -m fairlead.api.docs` prints the page about the ModelDeployment, `--write` writes all pages, `--check` says whether
they are up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlead.api.base import API_VERSION, KIND
from fairlead.api.conditions import ConditionType, Reason
from fairlead.api.crd import root_schema
from fairlead.api.engine_env import FORCED_ENV, REFUSED_ENV
from fairlead.api.engine_flags import OWNED_FLAGS, REFUSED_FLAGS, REFUSED_JSON_KEYS
from fairlead.api.engine_values import FLAG_VALUES, KEY_VALUES, UNSERVED_VALUES, key_to_allow, unserved_message
from fairlead.api.generated import Generated, main
from fairlead.api.markers import VALIDATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fairlead.api.schema import Schema

FOLDER = Path("docs/reference")
COMMAND = "make docs"
_BANNER = f"<!-- Made by `{COMMAND}` from operator/src/fairlead. Edit that, not this. -->\n\n"


def model_deployment_page() -> str:
    """Every field of spec and status, and every rule over them."""
    schema = root_schema()
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    intro = (
        f"# {KIND}\n\n`{API_VERSION}`, namespaced, short name `mdep`. {schema['description']}\n\n"
        "`kubectl explain mdep.spec --recursive` shows the same on the command line. A field without a default may be left out, "
        "unless it is required. Unknown fields are refused by `kubectl apply` and dropped by the API server.\n"
    )
    parts = [intro, "## spec\n\n" + _table(_fields("spec", spec, deep=False))]
    parts += [
        f"### spec.{name}\n\n{child['description']}\n\n" + _table(_fields(f"spec.{name}", child, deep=True))
        for name, child in spec["properties"].items()
        if "properties" in child
    ]
    parts.append(f"## status\n\n{status['description']} What the conditions mean: [conditions](conditions.md).\n\n")
    parts[-1] += _table(_fields("status", status, deep=True))
    rules = [(path, rule["message"]) for path, rule in _rules("", schema) if path != "spec.engine.args"]
    parts.append(
        "## Rules\n\nWhat the API server answers with where the bounds above are not enough. The rules about `spec.engine.args` "
        "are in [engine flags](engine-flags.md).\n\n" + _rows(("Where", "Answer"), [(f"`{p}`", m) for p, m in rules])
    )
    return _BANNER + "\n".join(parts)


def conditions_page() -> str:
    """Every condition type and reason, with its meaning."""
    return (
        _BANNER
        + "# Conditions\n\nEach condition has a status, a reason out of the list below, a message for people, and the generation "
        "that was looked at. `Ready` has the most telling reason of all. A reason keeps its name, for alerts.\n\n"
        "## Types\n\n"
        + _rows(("Type", "True means"), [(f"`{item}`", item.meaning) for item in ConditionType])
        + "\n## Reasons\n\n"
        + _rows(("Reason", "Meaning"), [(f"`{item}`", item.meaning) for item in Reason])
    )


def engine_flags_page() -> str:
    """What cannot be set in spec.engine.args and spec.engine.env, and why."""
    return (
        _BANNER
        + "# Engine flags and environment\n\n`spec.engine.args` takes every flag that the engine's version has, but for those "
        "below. An unknown flag or a value of the wrong kind becomes `ConfigurationValid=False`, and the replicas that run go on "
        "serving.\n\n## Set by Fairlead\n\n"
        + _rows(("Flag", "Instead"), [(f"`{k}`", v) for k, v in sorted(OWNED_FLAGS.items())])
        + "\n## Refused\n\nA cluster admin takes a flag out of this list with the chart's `engine.allowedFlags`. Whoever may "
        "create a ModelDeployment can set `spec.engine.image`, and with it run any program in that namespace: the list keeps a "
        "flag from being set without thinking, it is no wall.\n\n"
        + _rows(("Flag", "Why"), [(f"`{k}`", v) for k, v in sorted(REFUSED_FLAGS.items())])
        + "\nKeys inside JSON values that do the same, refused in the same way; `module_path` also at a longer key's end:\n\n"
        + _rows(("Key", "Why"), [(f"`{k}`", v) for k, v in sorted(REFUSED_JSON_KEYS.items())])
        + "\nFlags and keys that are refused only with a value that names Python code, and what `engine.allowedFlags` calls "
        "them:\n\n"
        + _rows(
            ("Flag, key", "To allow any value", "Instead"),
            [
                *((f"`{flag}`", f"`{flag}`", values.instead) for flag, values in sorted(FLAG_VALUES.items())),
                *(
                    (f"`{flag}`, `{key}`", f"`{key_to_allow(flag, key)}`", values.instead)
                    for (flag, key), values in sorted(KEY_VALUES.items())
                ),
            ],
        )
        + "\nValues that nobody can allow:\n\n"
        + _rows(("Flag", "Why"), [(f"`{flag}`", unserved_message(flag)) for flag in sorted(UNSERVED_VALUES)])
        + "\n## Environment\n\nAlways set:\n\n"
        + _rows(("Name", "Value"), [(f"`{k}`", f"`{v}`") for k, v in FORCED_ENV.items()])
        + "\nRefused in `spec.engine.env`, besides those:\n\n"
        + _rows(("Name", "Why"), [(f"`{k}`", v) for k, v in sorted(REFUSED_ENV.items()) if k not in FORCED_ENV])
    )


def _fields(path: str, schema: Schema, *, deep: bool) -> Iterator[tuple[str, Schema, bool]]:
    """Path, schema and whether it is required, for each field below `schema`; one level unless `deep`."""
    required = schema.get("required", ())
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child, name in required
        if deep:
            yield from _fields(f"{path}.{name}", child, deep=True)
            yield from _fields(f"{path}.{name}[]", child.get("items", {}), deep=True)


def _rules(path: str, schema: Schema) -> Iterator[tuple[str, dict[str, str]]]:
    """Each validation rule below `schema` with the path that the API server names."""
    for rule in schema.get(VALIDATIONS, ()):
        yield (path + rule.get("fieldPath", "")).removeprefix("."), rule
    for name, child in schema.get("properties", {}).items():
        yield from _rules(f"{path}.{name}" if path else name, child)
    if "items" in schema:
        yield from _rules(f"{path}[]", schema["items"])


def _table(fields: Iterator[tuple[str, Schema, bool]]) -> str:
    rows = [
        (f"`{path}`", _type(schema), _default(schema, required=required), _bounds(schema), str(schema.get("description", "")))
        for path, schema, required in fields
    ]
    return _rows(("Field", "Type", "Default", "Allowed", "What it is"), rows)


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _type(schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "object"))


def _default(schema: Schema, *, required: bool) -> str:
    if required:
        return "required"
    default: Any = schema.get("default")
    if default is None or default == {}:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, dict):
        return "`" + ", ".join(f"{key}: {value}" for key, value in default.items()) + "`"
    return f"`{default}`"


def _bounds(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    for low, high, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " entries"),
    ):
        if high in schema:
            return f"{schema[low]} to {schema[high]}{unit}" if low in schema else f"up to {schema[high]}{unit}"
        if low in schema:
            return f"{schema[low]} or more{unit}"
    return ""


def files() -> tuple[Generated, ...]:
    """The committed pages."""
    return (
        Generated(FOLDER / "modeldeployment.md", model_deployment_page(), COMMAND),
        Generated(FOLDER / "conditions.md", conditions_page(), COMMAND),
        Generated(FOLDER / "engine-flags.md", engine_flags_page(), COMMAND),
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, files))
