"""The CustomResourceDefinition, made from the models.

`python -m fairlead.api.crd` prints it, `--write` writes the two committed copies, `--check` says whether they are up to date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from fairlead.api.base import GROUP, KIND, PLURAL, VERSION
from fairlead.api.generated import Generated, main
from fairlead.api.markers import ALLOWABLE, VALIDATIONS
from fairlead.api.model_deployment import ModelDeployment, ModelDeploymentSpec
from fairlead.api.schema import Schema, structural
from fairlead.api.status import Status

NAME = f"{PLURAL}.{GROUP}"
BANNER = "# Made by `make crds` from operator/src/fairlead/api. Edit that, not this.\n"

_COLUMNS = (
    ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status", 0, "Whether every replica serves the present spec."),
    ("Replicas", "string", ".status.availability", 0, "Ready and wanted replicas."),
    ("Model", "string", ".status.servedName", 0, "The name that clients ask for."),
    ("URL", "string", ".status.url", 0, "Where the model answers inside the cluster."),
    ("Age", "date", ".metadata.creationTimestamp", 0, "Time since the object was created."),
    ("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason", 1, "Why Ready is what it is."),
    ("Message", "string", ".status.conditions[?(@.type=='Ready')].message", 1, "The same, for people."),
)


def root_schema() -> Schema:
    """The openAPIV3Schema. Rules that a cluster admin may take out still carry their `ALLOWABLE` key."""
    schema: Schema = {
        "description": ModelDeployment.__doc__,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"Always {GROUP}/{VERSION}.", "type": "string"},
            "kind": {"description": f"Always {KIND}.", "type": "string"},
            # The name is listed so that the rule about it can point at it; the rest of metadata is implied.
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": structural(ModelDeploymentSpec),
            "status": {**structural(Status), "default": {}},
        },
    }
    schema[VALIDATIONS] = [rule.rendered() for rule in ModelDeployment.rules]
    return schema


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            # Without it an uninstall of the chart would delete every ModelDeployment, and with them all that serves.
            "annotations": {"helm.sh/resource-policy": "keep"},
            "labels": {"app.kubernetes.io/part-of": "fairlead"},
            "name": NAME,
        },
        "spec": {
            "group": GROUP,
            "names": {
                "categories": ["all"],
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "shortNames": ["mdep"],
                "singular": KIND.lower(),
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "scale": {
                            "labelSelectorPath": ".status.selector",
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                        },
                        "status": {},
                    },
                    "additionalPrinterColumns": [
                        {"description": text, "jsonPath": path, "name": name, "priority": priority, "type": kind}
                        for name, kind, path, priority, text in _COLUMNS
                    ],
                    "schema": {"openAPIV3Schema": root_schema()},
                }
            ],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Lists indented under their key, no aliases: as people write YAML for Kubernetes."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002  the base's signature
        del indentless
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _dump(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


_MARK = re.compile(rf" *- {ALLOWABLE}: (.+)")
"""The first line of a rule that may be taken out: the mark comes first in it."""


def plain() -> str:
    """The text for `kubectl apply`: every rule is in force."""
    return BANNER + _dump(_without_marks(definition()))


def chart() -> str:
    """The text for the chart: a rule that refuses an engine flag is left out where `engine.allowedFlags` has the flag.

    Raises:
        ValueError: a description or message holds `{{`, which Helm would take for its own.
    """
    text = _dump(definition())
    if "{{" in text:
        raise ValueError("no description or message of the API may hold {{: Helm reads the CRD as a template")
    lines: list[str] = []
    open_at: int | None = None
    first = False
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        if open_at is not None and depth <= open_at:
            lines.append(" " * open_at + "{{- end }}")
            open_at = None
        if mark := _MARK.match(line):
            open_at, first = depth, True
            lines.append(" " * depth + f'{{{{- if not (has "{mark[1]}" .Values.engine.allowedFlags) }}}}')
        elif first:
            lines.append(" " * (depth - 2) + f"- {line.lstrip()}")
            first = False
        else:
            lines.append(line)
    return BANNER + "\n".join(lines) + "\n"


def _without_marks(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_marks(value) for key, value in node.items() if key != ALLOWABLE}
    return [_without_marks(item) for item in node] if isinstance(node, list) else node


def files() -> tuple[Generated, ...]:
    """The committed copies."""
    return (
        Generated(Path("crds") / f"{NAME}.yaml", plain(), "make crds"),
        Generated(Path("charts/fairlead/templates/crd.yaml"), chart(), "make crds"),
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, files))
