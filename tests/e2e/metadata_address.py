"""A stand-in for a cloud's metadata service: 169.254.169.254, behind the node, as a pod of a cloud would reach it.

It has a network namespace of its own, for what goes to the node itself passes no NetworkPolicy. Namespace, link and routes go
with its process, and that goes with the tests.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.conftest import World
from tests.waiting import until

ADDRESS = "169.254.169.254"
PORT = 80
_NODE_SIDE = "169.254.169.253"
_PREFIX = 30


@dataclass(frozen=True)
class MetadataService:
    """What it was asked."""

    log: Path

    def asked_by(self, ip: str) -> bool:
        return any(line.startswith(f"{ip} ") for line in self.log.read_text().splitlines())


@contextmanager
def serving(world: World, folder: Path) -> Iterator[MetadataService]:
    (folder / "files").mkdir()
    log = folder / "log"
    server = [sys.executable, "-u", "-m", "http.server", str(PORT), "--bind=0.0.0.0", f"--directory={folder / 'files'}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--", *server],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    try:
        until("the metadata service listens", lambda: "Serving HTTP" in log.read_text(), seconds=20, every=0.1)
        _join(world, process.pid)
        until("it answers the node", lambda: world.curl(f"http://{ADDRESS}/").returncode == 0, seconds=20)
        yield MetadataService(log)
    finally:
        process.kill()
        process.wait()


def _join(world: World, pid: int) -> None:
    """A link between the service and the node."""
    node, service, link = world.in_node, ["nsenter", f"--net=/proc/{pid}/ns/net"], f"meta{pid}"
    for command in (
        [*node, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pid)],
        [*node, "ip", "address", "add", f"{_NODE_SIDE}/{_PREFIX}", "dev", link],
        [*node, "ip", "link", "set", link, "up"],
        [*service, "ip", "address", "add", f"{ADDRESS}/{_PREFIX}", "dev", "eth0"],
        [*service, "ip", "link", "set", "eth0", "up"],
        [*service, "ip", "route", "add", "default", "via", _NODE_SIDE],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
