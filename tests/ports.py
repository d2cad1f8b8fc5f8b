"""Ports and addresses for programs that must be told where to listen. Standard library only: the local cluster uses it as well.

Ports are not the kernel's choice for port 0: it may give one port twice in a row once the first socket is closed, and an outgoing
connection may take it before the program listens. The ports here lie outside the range that outgoing connections use.
"""

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

#: Below it lie the ports of well-known services.
LOWEST, HIGHEST = 10_000, 65_535
#: Ports that a process claims at once: a test run uses about a hundred.
BLOCK = 64
#: Second parts of loopback addresses for pods that are not there, one for each process: 127.0 is what everybody uses.
NETWORKS = range(64, 255)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, none of which this function returned before, here or in another living process.

    Raises:
        OSError: none is left.
    """
    ports = list(itertools.islice(_walk, count))
    if len(ports) < count:
        raise OSError(f"{len(ports)} of {count} ports between {LOWEST} and {HIGHEST} are free for tests, all others are taken")
    return ports


def free_address() -> str:
    """An address of this machine for a pod that is not there: what listens on it, on whatever port, is the caller's.

    Raises:
        OSError: as many processes as there are NETWORKS have taken one.
    """
    address = next(_addresses, None)
    if address is None:
        raise OSError(f"the loopback networks 127.{NETWORKS.start} to 127.{NETWORKS.stop - 1} are all taken by other test runs")
    return address


def blocks(outgoing: range, place: int) -> Iterator[range]:
    """All blocks of ports without the outgoing ones, from the place-th on and around; with them if they are all there are."""
    every = [range(first, first + BLOCK) for first in range(LOWEST, HIGHEST + 2 - BLOCK, BLOCK)]
    good = [block for block in every if block.stop <= outgoing.start or block.start >= outgoing.stop] or every
    return (good[(place + step) % len(good)] for step in range(len(good)))


def outgoing_ports() -> range:
    """What the kernel picks from for connections, 32768 to 60999 unless the machine is set up otherwise."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    return range(first, last + 1)


def claim(what: str) -> bool:
    """Take something for as long as this process lives; false where another has it.

    A name in the abstract namespace of Unix sockets: the kernel gives it to one process, takes it back however that ends,
    and keeps the names of each network namespace apart, as it does its ports and addresses.
    """
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0fairlead-{what}")
    except OSError:
        name.close()
        return False
    # Open until the process ends.
    name.detach()
    return True


def is_free(port: int) -> bool:
    """Nothing listens on it, on whatever address: a socket on any one keeps the bind to all of them from working."""
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 (never listens)
        except OSError:
            return False
    return True


#: Another first block for each process: what ran before has left connections that linger on the ports that it had.
_walk = (
    port for block in blocks(outgoing_ports(), os.getpid()) if claim(f"ports-{block.start}") for port in block if is_free(port)
)
_addresses = (
    f"127.{network}.{number // 250}.{number % 250 + 1}"
    for network in NETWORKS
    if claim(f"addresses-{network}")
    for number in range(250 * 250)
)
