"""The kubeconfig that a command uses, and which of its contexts: found as kubectl finds them.

The client library is asked only for what is in a file that is there: of one that is not it says that a key of it is missing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlead.cli.errors import UserError
from fairlead.cli.files import documents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIABLE = "KUBECONFIG"
USUAL = "~/.kube/config"


@dataclass(frozen=True)
class Chosen:
    """Files, as one list in the variable's form; the name of a context in them; and the namespace that it names."""

    files: str
    context: str
    namespace: str


@dataclass(frozen=True)
class _Config:
    file: str
    contexts: Sequence[Mapping[str, Any]]
    current: str | None


def choose(named: str | None, context: str | None, environment: Mapping[str, str]) -> Chosen:
    """Of the file and the context that the command line names, if it does.

    Raises:
        UserError: there is no file, or it is no kubeconfig, or it has no such context.
    """
    found = [config for file in _files(named, environment) if (config := _read(file)) is not None]
    files = os.pathsep.join(config.file for config in found)
    # Of what two files say the first one's holds.
    contexts = {each["name"]: each["context"] for config in reversed(found) for each in reversed(config.contexts)}
    if not contexts:
        whose = files or named or environment.get(VARIABLE) or USUAL
        raise UserError(f"{whose}: has no context, and so no cluster; write --kubeconfig FILE with the path of another")
    known = ", ".join(sorted(contexts))
    name = context or next((config.current for config in found if config.current), None)
    if name is None:
        raise UserError(f"{files}: names no current context; write --context with one of {known}")
    if name not in contexts:
        raise UserError(f"{files}: has no context {name}; write --context with one of {known}")
    return Chosen(files, name, contexts[name].get("namespace") or "default")


def _files(named: str | None, environment: Mapping[str, str]) -> Sequence[Path]:
    """Those that are there."""
    if named:
        if not Path(named).exists():
            raise UserError(f"--kubeconfig {named}: there is no such file; write the path of a kubeconfig")
        return [Path(named)]
    # Empty is as good as not set, and in a list one that is not there is left out.
    if listed := environment.get(VARIABLE):
        found = [file for each in listed.split(os.pathsep) if each and (file := Path(each)).exists()]
        if not found:
            raise UserError(
                f"{VARIABLE} is {listed}, and there is no such file; set it to a kubeconfig's path, or write --kubeconfig FILE"
            )
        return found
    usual = Path(os.path.expanduser(USUAL))  # noqa: PTH111  Path's raises where there is no home
    if not usual.exists():
        raise UserError(
            f"no kubeconfig, and so no cluster to ask: {VARIABLE} is not set, and there is no {usual}; "
            f"write --kubeconfig FILE, or set {VARIABLE} to its path"
        )
    return [usual]


def _read(file: Path) -> _Config | None:
    """None of an empty file, which says nothing."""
    match documents(file):
        case [] | [None]:
            return None
        case [dict(config)]:
            contexts = config.get("contexts") or []
            if isinstance(contexts, list) and all(map(_is_context, contexts)):
                return _Config(str(file), contexts, config.get("current-context") or None)
    raise UserError(f"{file}: is no kubeconfig; write --kubeconfig FILE with the path of one")


def _is_context(given: object) -> bool:
    return isinstance(given, dict) and isinstance(given.get("name"), str) and isinstance(given.get("context"), dict)
