"""What is done, as values: `DRY_RUN=1` shows them, a golden file holds them, and Runner does them."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.progress import run_logged, say
from tests.cluster.settings import write_whole


@dataclass(frozen=True)
class Write:
    """A file, whole."""

    why: str
    path: Path
    text: str

    def shown(self) -> str:
        return f"# {self.why}\ncat >{shlex.quote(str(self.path))} <<'END'\n{self.text.rstrip()}\nEND"


@dataclass(frozen=True)
class Run:
    """A command, in no particular folder: its paths are whole."""

    why: str
    argv: tuple[str, ...]

    def shown(self) -> str:
        return f"# {self.why}\n{shlex.join(self.argv)}"


Step = Write | Run


@dataclass(frozen=True)
class Runner:
    """Does the steps, their output in `logs`; or, dry, prints them to stdout as a shell would read them."""

    logs: Path
    dry: bool

    def do(self, steps: Iterable[Step]) -> None:
        """All of them, up to the first that fails.

        Raises:
            ClusterError: a command failed; the message ends with what it said.
        """
        for step in steps:
            if self.dry:
                print(step.shown(), end="\n\n", flush=True)
            elif isinstance(step, Write):
                write_whole(step.path, step.text)
            else:
                verb = next(word for word in step.argv[1:] if not word.startswith("-"))
                run_logged(step.why, step.argv, self.logs / f"{Path(step.argv[0]).name}-{verb}.log")

    def tell(self, line: str) -> None:
        """What a person reads when it is done; a dry run has done nothing."""
        if not self.dry:
            say(line)
