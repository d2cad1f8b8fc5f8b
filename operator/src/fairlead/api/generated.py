"""Committed files that are made from the models: print them, write them, or say which are out of date."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[4]
"""The work tree, seen from operator/src/fairlead/api."""


@dataclass(frozen=True)
class Generated:
    """One file: where it belongs under the work tree's root, what it should hold, and the command that writes it."""

    path: Path
    text: str
    command: str


def stale(files: Sequence[Generated], root: Path = ROOT) -> list[str]:
    """One sentence for each file that does not hold what it should."""
    return [
        f"{file.path} is {'out of date' if (root / file.path).exists() else 'missing'}: run `{file.command}` and commit it"
        for file in files
        if not (root / file.path).is_file() or (root / file.path).read_text("utf-8") != file.text
    ]


def write(files: Sequence[Generated], root: Path = ROOT) -> None:
    """Write every file."""
    for file in files:
        (root / file.path).parent.mkdir(parents=True, exist_ok=True)
        (root / file.path).write_text(file.text, "utf-8")


def main(doc: str | None, files: Callable[[], Sequence[Generated]], argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """The command line of a generator module; returns the exit status."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--write", action="store_true", help="write the files")
    mode.add_argument("--check", action="store_true", help="exit 1 if a file is out of date, and say which")
    options = parser.parse_args(argv)
    made = files()
    if options.write:
        write(made, root)
    elif options.check:
        problems = stale(made, root)
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        return 1 if problems else 0
    else:
        sys.stdout.write(made[0].text)
    return 0
