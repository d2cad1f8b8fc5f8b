"""The node's network namespace and the veth pair that joins it to the host.

The host gets no route to pods or Services, only to the node's address: enough for kubectl, and nothing that could get in
the way of the machine's own network.
"""

import fcntl
import ipaddress
import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.errors import ClusterError

#: Set aside for tests of network devices (RFC 2544): no home, office, cloud or Docker network uses it.
RANGE = ipaddress.IPv4Network("198.18.0.0/15")
_PREFIX = 30
_BLOCKS = 2 ** (_PREFIX - RANGE.prefixlen)

NETNS_FOLDER = Path("/run/netns")


@dataclass(frozen=True)
class Subnet:
    """The two addresses of the veth pair."""

    network: ipaddress.IPv4Network

    @property
    def host(self) -> str:
        return str(self.network[1])

    @property
    def node(self) -> str:
        return str(self.network[2])


def choose(digits: str, taken: Iterable[ipaddress.IPv4Network]) -> Subnet:
    """The block that the clone's hex digits point at, or the next one that overlaps nothing.

    Raises:
        ClusterError: all blocks are taken.
    """
    used = [network for network in taken if network.prefixlen > 0]
    first = int(digits, 16)
    for step in range(_BLOCKS):
        offset = (first + step) % _BLOCKS * 2 ** (32 - _PREFIX)
        network = ipaddress.IPv4Network((int(RANGE.network_address) + offset, _PREFIX))
        if not any(network.overlaps(each) for each in used):
            return Subnet(network)
    raise ClusterError(f"No free subnet in {RANGE}: this machine's own routes cover it (see `ip -4 route`)")


@contextmanager
def machine_lock() -> Iterator[None]:
    """One cluster of this machine at a time, whatever its clone or cache, changes what they share."""
    folder = os.open("/run", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def create(name: str, digits: str) -> Subnet:
    """Make the namespace and the link, in place of any that bear the name.

    Raises:
        ClusterError: `ip` refused, or the kernel lacks br_netfilter.
    """
    _load_bridge_filter()
    with machine_lock():
        _remove(name)
        subnet = choose(digits, _taken())
        _ip("netns", "add", name)
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("address", "add", f"{subnet.host}/{_PREFIX}", "dev", name)
        _ip("link", "set", name, "up")
    _ip("-n", name, "address", "add", f"{subnet.node}/{_PREFIX}", "dev", "eth0")
    _ip("-n", name, "link", "set", "lo", "up")
    _ip("-n", name, "link", "set", "eth0", "up")
    # Leads nowhere (the host does not forward), but a connection to a Service's address needs a route before kube-proxy
    # can rewrite it.
    _ip("-n", name, "route", "add", "default", "via", subnet.host)
    # The second: packets between two pods on the bridge pass kube-proxy's rules too, or answers through a Service are lost.
    settings = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables"
    _run("nsenter", f"--net={NETNS_FOLDER / name}", "sh", "-ec", settings)
    return subnet


def remove(name: str) -> None:
    """Remove the namespace and the link, where they are; and the folder's mount, once no namespace is left in it.

    Raises:
        ClusterError: `ip` refused.
    """
    with machine_lock():
        _remove(name)
        if NETNS_FOLDER.is_dir() and not any(NETNS_FOLDER.iterdir()) and _is_mounted(NETNS_FOLDER):
            _run("umount", str(NETNS_FOLDER))


def others(name: str) -> bool:
    """Does another clone have a cluster on this machine?"""
    return NETNS_FOLDER.is_dir() and any(each.name.startswith("fl-") and each.name != name for each in NETNS_FOLDER.iterdir())


def link_exists(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


def _remove(name: str) -> None:
    # The link first: the kernel removes a namespace's links some time after the namespace.
    if link_exists(name):
        _ip("link", "delete", name)
    path = NETNS_FOLDER / name
    if path.exists():
        # A file without a mount on it is what a kill in the middle of `ip netns add` leaves.
        if _is_mounted(path):
            _ip("netns", "delete", name)
        else:
            path.unlink()


def _is_mounted(path: Path) -> bool:
    """Is it a mount point? os.path.ismount does not see a folder that is mounted on itself, as `ip netns` does it."""
    return any(line.split()[4] == str(path) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _taken() -> Iterator[ipaddress.IPv4Network]:
    for link in _ip_json("-4", "address", "show"):
        for address in link.get("addr_info", ()):
            yield ipaddress.IPv4Network(f"{address['local']}/{address['prefixlen']}", strict=False)
    for route in _ip_json("-4", "route", "show", "table", "all"):
        if route["dst"] != "default":
            yield ipaddress.IPv4Network(route["dst"], strict=False)


def _load_bridge_filter() -> None:
    if Path("/proc/sys/net/bridge").exists():
        return
    with suppress(FileNotFoundError):
        subprocess.run(["modprobe", "br_netfilter"], capture_output=True, check=False)
    if not Path("/proc/sys/net/bridge").exists():
        raise ClusterError(
            "The kernel module br_netfilter is not loaded and could not be: run `modprobe br_netfilter` on the host"
        )


def _ip_json(*args: str) -> list[dict[str, Any]]:
    said = _run("ip", "-json", *args)
    found: list[dict[str, Any]] = json.loads(said or "[]")
    return found


def _ip(*args: str) -> None:
    _run("ip", *args)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ClusterError(f"{command[0]} is not installed: `make debian` installs it") from error
    if done.returncode:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
