"""Ports and addresses for tests: never the same twice, never one that something else has or may take."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests import ports
from tests.ports import BLOCK, HIGHEST, LOWEST, blocks, claim, free_address, free_ports, is_free, outgoing_ports

ROOT = Path(__file__).parents[2]
USUAL = range(32768, 61000)


def test_no_port_comes_twice() -> None:
    found = [port for count in (1, BLOCK, 3, 0, 2 * BLOCK) for port in free_ports(count)]
    assert len(found) == len(set(found)) == 3 * BLOCK + 4
    assert all(LOWEST <= port <= HIGHEST for port in found)
    assert not set(found) & set(outgoing_ports())


@contextmanager
def process(code: str) -> Iterator[str]:
    """Another Python, which prints a line and then lives until the block ends: the line."""
    command = [sys.executable, "-c", f"import tests.ports as p; print({code}, flush=True); input()"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        yield running.stdout.readline().strip()
        running.kill()


def test_processes_have_no_port_in_common() -> None:
    ask = f"*p.free_ports({BLOCK})"
    with process(ask) as one, process(ask) as two:
        found = [*map(int, one.split()), *map(int, two.split()), *free_ports(BLOCK)]
    assert len(set(found)) == 3 * BLOCK


def test_addresses_are_the_machines_own_and_no_two_processes_have_one_in_common() -> None:
    ask = "*(p.free_address() for _ in range(3))"
    with process(ask) as one, process(ask) as two:
        found = [*one.split(), *two.split(), *(free_address() for _ in range(251))]
    assert len(set(found)) == len(found) == 257
    networks = {".".join(address.split(".")[:2]) for address in found}
    assert len(networks) == 3, "each process has one to itself"
    for address in (found[0], found[-1]):
        assert ip_address(address).is_loopback
        with socket.create_server((address, 0)):
            pass


def test_what_is_claimed_is_of_one_process_until_that_ends() -> None:
    # Its name is of this process alone, so that another run of the tests on this machine has another.
    name = f"test-{os.getpid()}"
    with process(f"p.claim({name!r})") as claimed:
        assert claimed == "True"
        assert not claim(name)
    assert claim(name)
    assert not claim(name), "nor twice of the same"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "0.0.0.0"])  # noqa: S104
def test_a_port_that_is_taken_on_any_address_is_not_free(address: str) -> None:
    (port,) = free_ports(1)
    assert is_free(port)
    with socket.create_server((address, port)):
        assert not is_free(port)
    assert is_free(port)


def test_a_port_shared_by_its_listener_is_not_free() -> None:
    """Envoy listens with SO_REUSEPORT."""
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port), reuse_port=True):
        assert not is_free(port)


@pytest.mark.parametrize(
    ("outgoing", "expected"),
    [
        pytest.param(USUAL, {LOWEST, 61008}, id="below and above the usual range"),
        pytest.param(range(LOWEST, 40_000), {40_016}, id="only above"),
        pytest.param(range(1024, HIGHEST + 1), {LOWEST}, id="everywhere: better than none"),
        pytest.param(range(LOWEST + BLOCK, HIGHEST + 1), {LOWEST}, id="a single block"),
    ],
)
def test_blocks_lie_outside_of_outgoing_ports(outgoing: range, expected: set[int]) -> None:
    found = list(blocks(outgoing, 0))
    starts = {block.start for block in found}
    assert len(starts) == len(found)
    assert all(len(block) == BLOCK and block.start >= LOWEST and block.stop <= HIGHEST + 1 for block in found)
    # Where a run of blocks begins.
    assert {start for start in starts if start - BLOCK not in starts} == expected


@pytest.mark.parametrize("place", [0, 1, 4_194_304])
def test_another_place_is_another_beginning_of_the_same_round(place: int) -> None:
    round_from_0 = list(blocks(USUAL, 0))
    found = list(blocks(USUAL, place))
    cut = place % len(found)
    assert found == round_from_0[cut:] + round_from_0[:cut]


def test_when_none_is_left_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_walk", iter([10_000, 10_001]))
    with pytest.raises(OSError, match="2 of 3 ports between 10000 and 65535 are free"):
        free_ports(3)
