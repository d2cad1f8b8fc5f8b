"""Reads the command line and runs what it names.

Exit status: 0 done, 2 the command line or a file that it names cannot be used.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fairlead.cli import autoscale_explain, autoscale_replay
from fairlead.cli.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

PLUGIN = "kubectl-fairlead"
"""kubectl runs a program of this name for `kubectl fairlead`."""


def _parser(program: str) -> argparse.ArgumentParser:
    name = "kubectl fairlead" if program == PLUGIN else "fairlead"
    parser = argparse.ArgumentParser(prog=name, description="Serves language models on Kubernetes.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    autoscale = commands.add_parser("autoscale", help="how many replicas there should be, and why")
    of_autoscale = autoscale.add_subparsers(title="commands", metavar="COMMAND", required=True)
    autoscale_explain.add(of_autoscale)
    autoscale_replay.add(of_autoscale)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    parser = _parser(Path(sys.argv[0]).name)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads the output has seen enough (`… | head`). At exit Python flushes once more, and must not find the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UserError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0
