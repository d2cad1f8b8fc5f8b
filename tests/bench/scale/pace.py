"""Does something so many times a second, whatever the earlier times take."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from tests.cluster.controlplane import ControlPlane
from tests.objects import Objects

WORKERS = 8
"""Creations under way at once. 8 keep 10 a second going while each takes 0.8 s."""


class Clients:
    """A connection of its own for each thread that asks for one."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._own = threading.local()
        self._all: list[Objects] = []

    def mine(self) -> Objects:
        """This thread's."""
        if not hasattr(self._own, "objects"):
            self._own.objects = Objects(self._plane.api)
            self._all.append(self._own.objects)
        found: Objects = self._own.objects
        return found

    def close(self) -> None:
        for each in self._all:
            each.close()


def at_rate(count: int, rate: float, do: Callable[[int], None]) -> float:
    """Call do(0), do(1), … in threads; returns how many a second really began. Raises what one of them raised."""
    began: list[float] = []

    def one(number: int) -> None:
        began.append(time.monotonic())
        do(number)

    with ThreadPoolExecutor(WORKERS, "create") as pool:
        start = time.monotonic()
        futures: list[Future[None]] = []
        for number in range(count):
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
            futures.append(pool.submit(one, number))
        for future in futures:
            future.result()
    return (count - 1) / (max(began) - min(began)) if count > 1 else rate
