"""The command line. Imports little, so that SIGTERM is heard at once: process 1 ignores it until it has a handler."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import NoReturn

_USAGE = "fairlead-agent --config FILE -- ENGINE-ARGUMENT..."
_FETCH = "fetch"
_PAUSE = "pause"
_ENDED = 128 + signal.SIGTERM
_TERMINATION_LOG = Path("/dev/termination-log")
_FAULTS = Path("/tmp/fairlead-gpu-faults.json")  # noqa: S108 # nosec B108 # the pod's own emptyDir; only its engine shares it


def main(argv: list[str] | None = None) -> NoReturn:
    """Never returns: ends the process with the engine's exit code, 0 after a drain, or 2 for a mistake of the caller's."""
    arguments = sys.argv[1:] if argv is None else argv
    fetching = arguments[:1] == [_FETCH]
    # A download that is not whole must not look as if it were: the kubelet would start the engine.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED if fetching else 0))
    if fetching:
        options = _fetch_parser().parse_args(arguments[1:])
        from fairlead_agent.fetch.app import run as fetch  # noqa: PLC0415  as below

        fetch(options.config, options.termination_log)
    if arguments == [_PAUSE]:
        pause()
    options, engine_arguments = parse(arguments)
    from fairlead_agent.app import run  # noqa: PLC0415 # half a second of imports, after the handler above

    run(options.config, engine_arguments, options.termination_log, options.faults)


def pause() -> NoReturn:
    """Does nothing until SIGTERM: a node that runs this has the image, and keeps it."""
    while True:
        signal.pause()


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
    _add_files(parser, "agent.json")
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


def _fetch_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"fairlead-agent {_FETCH}",
        usage=f"fairlead-agent {_FETCH} --config FILE",
        description="Downloads a model from a hub into the pod's own volume, and ends when it is there.",
    )
    _add_files(parser, "fetch.json")
    return parser


def _add_files(parser: argparse.ArgumentParser, config: str) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help=f"{config}, as the operator renders it")
    parser.add_argument(
        "--termination-log",
        type=Path,
        default=_TERMINATION_LOG,
        metavar="FILE",
        help="where to write why the container ended (default: %(default)s)",
    )
