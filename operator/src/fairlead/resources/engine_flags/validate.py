"""Whether the engine of a ModelDeployment has the flags that its spec sets, with the values that they take. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.api.conditions import Reason
from fairlead.api.engine_flags import OWNED_FLAGS, REFUSED_FLAGS, owned_message, refused_key, refused_message
from fairlead.api.engine_values import refused_key_value, refused_value
from fairlead.resources.engine_flags.tables import VERSIONS, table
from fairlead.resources.engine_flags.values import problem_with, read_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from fairlead.api.engine import Engine
    from fairlead.resources.engine_flags.flag import Flag, Table


@dataclass(frozen=True)
class Problem:
    """What is wrong with a spec: the reason of a condition, and a message that gives the path and what to write."""

    reason: Reason
    message: str


def check_engine(engine: Engine, allowed: Collection[str]) -> list[Problem]:
    """What is wrong with `spec.engine`: its version, the fields that become flags, and its args.

    `allowed`: the flags that the cluster's admin allows although they are refused or not known.
    """
    flags = table(engine.version)
    if flags is None:
        return [_unsupported(engine.version)]
    fields = {
        "dtype": ("dtype", engine.dtype),
        "quantization": ("quantization", engine.quantization),
        "kvCacheDtype": ("kv-cache-dtype", engine.kv_cache_dtype),
    }
    problems = [
        Problem(Reason.INVALID_ENGINE_FLAG_VALUE, f"spec.engine.{field}: {wrong}")
        for field, (name, value) in fields.items()
        if value is not None and (wrong := problem_with(flags.flags[name], value))
    ]
    return problems + check_args(engine.version, engine.args, allowed)


def check_args(version: str, args: Mapping[str, int | str], allowed: Collection[str]) -> list[Problem]:
    """What is wrong with `spec.engine.args`, in the order of the flags' names.

    The API server refuses most of what is refused here too; this holds where somebody has changed the CRD's rules, and for
    what only the table knows: flags that do not exist, short names, abbreviations (argparse would take them), and values.
    """
    flags = table(version)
    if flags is None:
        return [_unsupported(version)]
    problems = (_check(flags, name, str(value), args, allowed) for name, value in sorted(args.items()))
    return [problem for problem in problems if problem]


def _unsupported(version: str) -> Problem:
    known = ", ".join(VERSIONS)
    return Problem(
        Reason.UNSUPPORTED_ENGINE_VERSION,
        f"spec.engine.version: the flags of version {version} are not known, so they could not be checked; write {known}",
    )


def _check(flags: Table, name: str, text: str, args: Mapping[str, int | str], allowed: Collection[str]) -> Problem | None:
    base, dot, path = name.partition(".")
    meant = _meant(flags, base)
    if refusal := _refusal(meant or base, allowed) or refused_value(meant or base, text, allowed):
        return Problem(Reason.REFUSED_ENGINE_FLAG, f"spec.engine.args.{name}: {refusal}")
    flag = flags.flags.get(base)
    if flag is None:
        return None if base in allowed else Problem(Reason.UNKNOWN_ENGINE_FLAG, _unknown(flags, name, base, meant))
    if dot and flag.kind != "json":
        return Problem(
            Reason.UNKNOWN_ENGINE_FLAG, f"spec.engine.args.{name}: --{base} has no parts; write {base} and its whole value"
        )
    # A plugin, where the admin allows plugins, may bring further choices: the engine alone knows them.
    unchecked = bool(dot) or (flag.unless in args and flag.unless in allowed) or (flag.kind == "choice" and base in allowed)
    wrong = "" if unchecked else problem_with(flag, text)
    if wrong:
        return Problem(Reason.INVALID_ENGINE_FLAG_VALUE, f"spec.engine.args.{name}: {wrong}")
    return _refused_inside(flag, name, path, text, allowed)


def _meant(flags: Table, name: str) -> str | None:
    """The flag that the engine would take `name` for: itself, an alias, its negation, one with _, or what it abbreviates."""
    plain = name.lstrip("-").replace("_", "-").lower()
    for candidate in (plain, plain.removeprefix("no-")):
        if candidate in flags.flags or candidate in OWNED_FLAGS:
            return candidate
        if alias := flags.known_by(candidate):
            return alias
    abbreviated = [flag for flag in flags.flags if flag.startswith(plain)]
    return abbreviated[0] if len(abbreviated) == 1 else None


def _refusal(flag: str, allowed: Collection[str]) -> str:
    if flag in OWNED_FLAGS:
        return owned_message(flag)
    return refused_message(flag) if flag in REFUSED_FLAGS and flag not in allowed else ""


def _unknown(flags: Table, name: str, base: str, meant: str | None) -> str:
    path = f"spec.engine.args.{name}"
    if meant is not None and base.lstrip("-").replace("_", "-").lower() == f"no-{meant}":
        return f'{path}: to switch --{meant} off write {meant}: "false"'
    if meant is not None:
        return f"{path}: write {meant}, the flag's whole name without dashes in front"
    near = difflib.get_close_matches(base, [flag for flag in flags.flags if not _refusal(flag, ())], n=3)
    hint = f"nearest are {', '.join(near)}" if near else "the engine's --help=all lists its flags"
    return f"{path}: this engine version has no flag --{base}; {hint}"


def _refused_inside(flag: Flag, name: str, path: str, text: str, allowed: Collection[str]) -> Problem | None:
    """A key within a JSON value that does what a refused flag does."""
    if flag.kind != "json":
        return None
    for key, value in _pairs(_nested(flag, path, text)):
        allow = key.replace("_", "-")
        if (why := refused_key(key)) and allow not in allowed:
            refusal = (
                f"the key {key} is refused: {why}. Remove it, or have a cluster admin add {allow} to the chart's "
                "engine.allowedFlags"
            )
        else:
            refusal = refused_key_value(name.partition(".")[0], key, value, allowed)
        if refusal:
            return Problem(Reason.REFUSED_ENGINE_FLAG, f"spec.engine.args.{name}: {refusal}")
    return None


def _nested(flag: Flag, path: str, text: str) -> Any:
    """The value as the engine puts it together: what stands under a path of keys need not be JSON."""
    try:
        value = read_json(flag, text)
    except ValueError:
        value = text
    if path.endswith("+"):
        value = text.split(",")
    for key in reversed(path.rstrip("+").split(".") if path else []):
        value = {key: value}
    return value


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Keys and their values at every depth, of which there may be more than Python's stack has."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            yield from item.items()
            left += item.values()
        elif isinstance(item, list):
            left += item
