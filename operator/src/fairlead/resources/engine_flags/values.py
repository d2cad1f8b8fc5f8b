"""Whether a value is one that a flag takes, and how the two are written on the command line. Pure."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fairlead.resources.engine_flags.flag import Flag, Kind

_INT = re.compile(r"[+-]?\d+")
_SUFFIXED = re.compile(r"\d+(\.\d+)?[kKmMgGtT]")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# Outside of quotes the engine reads 80m in its JSON as 80000000.
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")')
_SUFFIXED_IN_JSON = re.compile(r"\b(\d+(?:\.\d+)?)[kKmMgGtT]\b")
_MANY = 12
"""More choices than this are not all listed in a message."""


def problem_with(flag: Flag, text: str) -> str:
    """What is wrong with `text` as the value of `flag` and what to write instead; empty if nothing is."""
    if "\0" in text:
        return "the value holds a NUL character, which no command line can carry; remove it"
    if not text and flag.kind != "bool":
        return "the flag needs a value"
    check = _CHECKS.get(flag.kind)
    return check(flag, text) if check is not None else ""


def argv(flag: Flag | None, name: str, text: str) -> list[str]:
    """The words of a flag on the command line. `flag` is None for one that the table does not list.

    A value stands behind a = in the flag's own word, so that one that begins with - cannot become a flag.
    """
    if flag is not None and flag.kind == "bool":
        return [f"--no-{name}" if text.lower() == "false" else f"--{name}"]
    if flag is not None and flag.kind == "list":
        # Argparse takes only one value after =. No item begins with -: `problem_with` sees to it.
        return [f"--{name}", *list_items(text)]
    return [f"--{name}={text}" if text else f"--{name}"]


def list_items(text: str) -> list[str]:
    """The values of a list flag: the items of a JSON array, or the text itself as the only one."""
    try:
        parsed = _loads(text)
    except ValueError:
        return [text]
    if not isinstance(parsed, list):
        return [text]
    return [item if isinstance(item, str) else json.dumps(item) for item in parsed]


def read_json(flag: Flag, text: str) -> Any:
    """The value of a JSON flag.

    Raises:
        ValueError: it is not JSON, not even with suffixes of numbers (80m) where the engine takes them.
    """
    if not flag.suffix:
        return _loads(text)
    parts = _QUOTED.split(text)
    parts[::2] = [_SUFFIXED_IN_JSON.sub(r"\1", part) for part in parts[::2]]
    return _loads("".join(parts))


def _loads(text: str) -> Any:
    """The value of a JSON text; one that is nested more deeply than Python reads (some 1000 levels) is a ValueError too."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def not_a_choice(text: str, choices: Sequence[str]) -> str:
    """What to write instead of a value that is none of the choices."""
    if len(choices) <= _MANY:
        return f'"{text}" is none of the values that it takes: {", ".join(choices)}'
    near = difflib.get_close_matches(text, choices, n=3, cutoff=0.4)
    hint = f"; nearest are {', '.join(near)}" if near else f", such as {', '.join(choices[:3])}"
    return f'"{text}" is none of the {len(choices)} values that it takes{hint}'


def _bool_problem(flag: Flag, text: str) -> str:
    if text.lower() in ("true", "") or (text.lower() == "false" and flag.negatable):
        return ""
    if text.lower() == "false":
        return "the flag is off by itself and has no opposite; leave it out"
    return f'"{text}" is not a switch\'s value; write "true" or "false", in quotes'


def _int_problem(flag: Flag, text: str) -> str:
    if _INT.fullmatch(text) or (flag.suffix and _SUFFIXED.fullmatch(text)) or text in flag.words:
        return ""
    example = " such as 4096, 8k (8000) or 8K (8192)" if flag.suffix else " such as 16"
    words = f", or {' or '.join(flag.words)}" if flag.words else ""
    return f'"{text}" is not a whole number; write one{example}{words}'


def _float_problem(flag: Flag, text: str) -> str:
    del flag
    return "" if _FLOAT.fullmatch(text) else f'"{text}" is not a number; write one in quotes, such as "0.5"'


def _choice_problem(flag: Flag, text: str) -> str:
    return "" if text in flag.choices else not_a_choice(text, flag.choices)


def _json_problem(flag: Flag, text: str) -> str:
    instead = (
        'write a list in quotes, such as \'["a", "b"]\'' if flag.array else "write an object in quotes, such as '{\"key\": 1}'"
    )
    try:
        parsed = read_json(flag, text)
    except ValueError as error:
        return f"the value is not JSON ({error}); {instead}"
    if isinstance(parsed, list if flag.array else dict):
        return ""
    return f"{text} is JSON but not {'a list' if flag.array else 'an object'}; {instead}"


def _list_problem(flag: Flag, text: str) -> str:
    items = list_items(text)
    if not items:
        return 'the list is empty; write one value, or several as JSON in quotes, such as \'["a", "b"]\''
    for item in items:
        if not item or item.startswith("-"):
            return f'an item of the list, "{item}", is empty or begins with -, and the engine would read it as a flag; remove it'
        if flag.choices and item not in flag.choices:
            return not_a_choice(item, flag.choices)
        if flag.integers and not _INT.fullmatch(item):
            return f"an item of the list, \"{item}\", is not a whole number; write them in quotes, such as '[1, 2, 4]'"
    return ""


_CHECKS: dict[Kind, Callable[[Flag, str], str]] = {
    "bool": _bool_problem,
    "choice": _choice_problem,
    "float": _float_problem,
    "int": _int_problem,
    "json": _json_problem,
    "list": _list_problem,
}
"""A string takes anything."""
