"""What a person sees while something long runs: a line at the start, one every few seconds, one at the end."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.errors import ClusterError

#: Seconds between two lines of something that still runs.
EVERY = 10.0


def say(line: str) -> None:
    """To stderr: stdout is for what a program reads, such as `env`."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def step(what: str, detail: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Tell that `what` begins, every EVERY seconds that it goes on (with detail()), and how long it took."""
    start = time.monotonic()
    done = threading.Event()

    def tick() -> None:
        while not done.wait(EVERY):
            say(f"    {what}: {time.monotonic() - start:.0f} s {detail()}".rstrip())

    say(f"  {what} …")
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    ended = "failed after"
    try:
        yield
        ended = "done in"
    finally:
        done.set()
        ticker.join()
        say(f"  {what}: {ended} {time.monotonic() - start:.1f} s")


def run_logged(
    what: str,
    command: Sequence[str],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    detail: Callable[[], str] = lambda: "",
) -> None:
    """Run a command with progress lines, its output in a file.

    Raises:
        ClusterError: it failed; the message ends with the last lines of its output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with step(what, detail), log.open("w") as output:
        try:
            done = subprocess.run(
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
            )
        except FileNotFoundError as error:
            raise ClusterError(f"{what}: {command[0]} is not installed") from error
        if done.returncode:
            raise ClusterError(f"{what} failed (status {done.returncode}):\n{tail(log)}\nThe whole output is in {log}")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented; empty where there is no log."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join("    " + line for line in text.splitlines()[-lines:])


def wait_until(what: str, probe: Callable[[], bool], *, seconds: float, every: float = 0.1) -> None:
    """Look until probe() holds.

    Raises:
        ClusterError: it did not hold within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(every)
