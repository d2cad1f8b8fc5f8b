"""The container that downloads a model, as a process: the agent, and under it a Python that stands for the engine's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.hub import Hub
from tests.ports import free_ports
from tests.unit.agent.fetch.settings import FETCH_JSON
from tests.unit.agent.processes import ROOT, http
from tests.waiting import until


class Fetcher:
    """A fetcher's process and its folder."""

    def __init__(self, folder: Path, hub: Hub, endpoint: str, host: str = "127.0.0.1", port: int = 0) -> None:
        self.folder = folder
        self.hub = hub
        self.endpoint = endpoint
        self.host = host
        self.port = port or free_ports(1)[0]
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"
        self.shebang = sys.executable

    def start(self, **changes: Any) -> None:
        settings = FETCH_JSON | {
            "bind": {"host": self.host, "port": self.port},
            "endpoint": self.endpoint,
            "folder": str(self.folder / "volume/model"),
            **changes,
        }
        (self.folder / "volume").mkdir(exist_ok=True)
        (self.folder / "fetch.json").write_text(json.dumps(settings))
        vllm = self.folder / "bin/vllm"
        vllm.parent.mkdir(exist_ok=True)
        vllm.write_text(f"#!{self.shebang}\nraise SystemExit('not the engine itself')\n")
        vllm.chmod(0o755)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "fairlead_agent", "fetch"),
                    f"--config={self.folder / 'fetch.json'}",
                    f"--termination-log={self.folder / 'termination-log'}",
                ],
                env={
                    **os.environ,
                    "PATH": f"{vllm.parent}:{os.environ['PATH']}",
                    "PYTHONPATH": str(ROOT / "runtime/agent/src"),
                    "HF_TOKEN": "hf_of_the_environment",
                },
                stdout=log,
                stderr=log,
            )

    def status(self) -> dict[str, Any]:
        code, body = http("GET", f"http://{self.host}:{self.port}/status")
        read: dict[str, Any] = json.loads(body) if code == 200 else {"reason": "", "message": ""}
        return read

    def until_told(self, reason: str) -> dict[str, Any]:
        return until(
            f"it says {reason}",
            lambda: (told := self.status())["reason"] == reason and told,
            seconds=60,
            every=0.05,
            describe=self.story,
        )

    def ends(self) -> int:
        assert self.process is not None
        process = self.process
        until("it has ended", lambda: process.poll() is not None, seconds=60, every=0.02, describe=self.story)
        return int(process.returncode)

    def said(self) -> str:
        return (self.folder / "termination-log").read_text()

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def story(self) -> str:
        return f"{self.log.read_text()}\n{self.status()}"
