"""One flag of an engine, and a table of them as a JSON text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["bool", "choice", "float", "int", "json", "list", "string"]


@dataclass(frozen=True)
class Flag:
    """What the engine takes after a flag. Names are without the dashes in front; aliases keep theirs, as some have only one."""

    kind: Kind
    choices: tuple[str, ...] = ()
    """For a choice, and for a list whose items are choices."""
    aliases: tuple[str, ...] = ()
    negatable: bool = False
    """A bool that also exists as --no-…; without it the flag can only be left out."""
    suffix: bool = False
    """Ints, in JSON too, may be written 8M or 25.6k: k, m, g, t are powers of 1000, K, M, G, T of 1024."""
    array: bool = False
    """A json that is a list, not an object."""
    integers: bool = False
    """A list of whole numbers."""
    words: tuple[str, ...] = ()
    """Words that an int takes as well, such as auto."""
    unless: str = ""
    """A flag that adds further choices when it is given."""


@dataclass(frozen=True)
class Table:
    """The flags of one engine version."""

    flags: dict[str, Flag] = field(default_factory=dict)

    def known_by(self, name: str) -> str | None:
        """The flag that `name` is an alias of (`tp`, `-tp` or `device-memory-utilization`)."""
        dashed = {f"-{name}", f"--{name}", name}
        return next((flag for flag, what in self.flags.items() if dashed & set(what.aliases)), None)


def dumps(table: Table) -> str:
    """The table as JSON with one flag a line, sorted, without what is a default: so that a diff shows what a release changed."""
    lines = [f"  {json.dumps(name)}: {json.dumps(_compact(flag))}" for name, flag in sorted(table.flags.items())]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def loads(text: str) -> Table:
    """The table that `dumps` wrote.

    Raises:
        TypeError: an unknown property of a flag.
    """
    return Table({name: _flag(properties) for name, properties in json.loads(text).items()})


def _compact(flag: Flag) -> dict[str, Any]:
    return {key: value for key, value in vars(flag).items() if value}


def _flag(properties: dict[str, Any]) -> Flag:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in properties.items()}
    return Flag(**values)
