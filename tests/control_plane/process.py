"""The operator as users run it: a process of its own, with the chart's rights and a service account's token."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.waiting import until

ROOT = Path(__file__).parents[2]
VERSION = "0.0.0-tested"
"""As the chart tells it, for the user agent."""
START_SECONDS = 90.0
"""It takes 2 s on a quiet machine; over 40 s have been seen beside other tests, builds and engines."""
EXIT_SECONDS = 40.0
"""The operator gives itself 20 s for what it has in hand, kopf about 10."""
FOLLOWING_LINES = 30


@dataclass
class OperatorProcess:
    """Start it, stop it, read what it says. The log is one file over all starts."""

    kubeconfig: Path
    config: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    _read_from: int = field(default=0)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        assert not self.running
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "fairlead.controller", f"--config={self.config}"],
                env={
                    **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
                    "KUBECONFIG": str(self.kubeconfig),
                    "PYTHONPATH": str(ROOT / "operator" / "src"),
                    "PYTHONWARNINGS": "default",
                    "FAIRLEAD_VERSION": VERSION,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(
            "the operator is ready",
            lambda: self.answer("/readyz")[0] == 200,
            seconds=START_SECONDS,
            every=0.1,
            describe=self.tail,
        )

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(sig)
        return self.process.wait(EXIT_SECONDS)

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text of its own HTTP door."""
        assert self.running, f"the operator has ended: {self.tail()}"
        ports = [line["message"].rpartition(" ")[2] for line in self.lines() if line["message"].startswith("listening on port ")]
        assert ports, "it does not listen yet"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[-1]}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """A metric's value; the name with its labels, as in the exposition."""
        values = [line.rpartition(" ")[2] for line in self.answer("/metrics")[1].splitlines() if line.startswith(f"{name} ")]
        return float(values[0]) if values else 0.0

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the log since the last start; each must be JSON."""
        with self.log.open("rb") as log:
            log.seek(self._read_from)
            return [json.loads(line) for line in log.read().splitlines(keepends=True) if line.endswith(b"\n")]

    def tracebacks(self, since: int = 0) -> list[str]:
        """The lines of the log, from that byte on, that hold one: by themselves, or they would drown in the rest of it.

        What Python says by itself, of an object that cannot be removed say, is no JSON and has the traceback in further lines.
        """
        said = self.log.read_bytes()[since:].decode().splitlines() if self.log.exists() else []
        return [
            line if line.startswith("{") else "\n".join(said[number : number + FOLLOWING_LINES])
            for number, line in enumerate(said)
            if "Traceback" in line
        ]

    def tail(self) -> str:
        return self.log.read_text()[-3000:] if self.log.exists() else ""
