"""Debian's Prometheus, unpacked and not installed (its package would start a service), and an exporter for it to scrape.

Both run in the network of the cluster's node, where pods reach them at its address.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.ports import free_ports
from tests.waiting import until

SCRAPE_SECONDS = 2
METRIC = "DCGM_FI_DEV_GPU_UTIL"


def program(cache: Path) -> Path:
    """The binary, out of Debian's package."""
    unpacked = cache / "debian-prometheus"
    binary = unpacked / "usr" / "bin" / "prometheus"
    if not binary.exists():
        folder = cache / "debian-prometheus.new"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        fetch = ["apt-get", "-o", "APT::Sandbox::User=root", "download", "prometheus"]
        if subprocess.run(fetch, cwd=folder, capture_output=True, check=False).returncode:
            subprocess.run(["apt-get", "update"], check=True, capture_output=True)
            subprocess.run(fetch, cwd=folder, check=True, capture_output=True)
        (package,) = folder.glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
        package.unlink()
        shutil.rmtree(unpacked, ignore_errors=True)
        folder.rename(unpacked)
    return binary


@dataclass
class Prometheus:
    """One server and its exporter."""

    binary: Path
    folder: Path
    enter: Sequence[str]
    """What a command starts with to run in the node's network."""
    ports: list[int] = field(default_factory=lambda: free_ports(2))
    server: subprocess.Popen[bytes] | None = None
    exporter: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self.ports[0]

    def say(self, duties: Mapping[tuple[str, str], float]) -> None:
        """Have the exporter tell this duty cycle of each pod (namespace, name)."""
        lines = [f"# TYPE {METRIC} gauge"]
        lines += [f'{METRIC}{{gpu="0",namespace="{namespace}",pod="{pod}"}} {duty}' for (namespace, pod), duty in duties.items()]
        page = self.folder / "page"
        page.mkdir(parents=True, exist_ok=True)
        new = self.folder / "metrics.new"
        new.write_text("\n".join(lines) + "\n")
        new.rename(page / "metrics")

    def start(self) -> None:
        """Start what does not run, and wait until it answers."""
        target = f"127.0.0.1:{self.ports[1]}"
        jobs = [
            {
                "job_name": "gpus",
                "scrape_interval": f"{SCRAPE_SECONDS}s",
                "scrape_timeout": f"{SCRAPE_SECONDS}s",
                "honor_labels": True,
                "static_configs": [{"targets": [target]}],
            }
        ]
        config = self.folder / "prometheus.yml"
        config.write_text(yaml.safe_dump({"scrape_configs": jobs}))
        if self.exporter is None:
            page = str(self.folder / "page")
            serve = [sys.executable, "-m", "http.server", str(self.ports[1]), "--bind", "127.0.0.1", "--directory", page]
            self.exporter = self._run(serve)
        if self.server is None:
            self.server = self._run(
                [
                    str(self.binary),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self.folder / 'data'}",
                    f"--web.listen-address=0.0.0.0:{self.port}",
                ]
            )
        ready = [*self.enter, "curl", "--silent", "--fail", f"http://127.0.0.1:{self.port}/-/ready"]
        until("Prometheus is ready", lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, seconds=60)

    def kill(self) -> None:
        """The server alone, as the kernel would for want of memory."""
        assert self.server is not None
        self.server.send_signal(signal.SIGKILL)
        self.server.wait()
        self.server = None

    def close(self) -> None:
        for each in (self.server, self.exporter):
            if each is not None:
                each.kill()
                each.wait()

    def _run(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        log = (self.folder / "log").open("ab")
        with log:
            return subprocess.Popen([*self.enter, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
