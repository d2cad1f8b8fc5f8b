"""The command line. Imports little, so that SIGTERM is heard at once: process 1 ignores it until it has a handler."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import NoReturn

_USAGE = "fairlead-agent --config FILE -- ENGINE-ARGUMENT..."
_TERMINATION_LOG = Path("/dev/termination-log")
_FAULTS = Path("/tmp/fairlead-gpu-faults.json")  # noqa: S108  the pod's own emptyDir; only its engine shares it


def main(argv: list[str] | None = None) -> NoReturn:
    """Never returns: ends the process with the engine's exit code, 0 after a drain, or 2 for a mistake of the caller's."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    options, engine_arguments = parse(sys.argv[1:] if argv is None else argv)
    from fairlead_agent.app import run  # noqa: PLC0415 # half a second of imports, after the handler above

    run(options.config, engine_arguments, options.termination_log, options.faults)


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The agent's own options, and what follows `--`, which is the engine's."""
    own, engine = argv, list[str]()
    if "--" in argv:
        at = argv.index("--")
        own, engine = argv[:at], argv[at + 1 :]
    parser = argparse.ArgumentParser(
        prog="fairlead-agent",
        usage=_USAGE,
        description="Supervises a language model engine inside its container. What follows -- is given to the engine.",
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="agent.json, as the operator renders it")
    parser.add_argument(
        "--termination-log",
        type=Path,
        default=_TERMINATION_LOG,
        metavar="FILE",
        help="where to write why the container ended (default: %(default)s)",
    )
    parser.add_argument(
        "--faults",
        type=Path,
        default=_FAULTS,
        metavar="FILE",
        help="what GPUs did wrong, kept over a restart of the container (default: %(default)s)",
    )
    options = parser.parse_args(own)
    if not engine:
        parser.error("nothing follows --: write the engine's arguments there, the model first")
    return options, engine
