"""Reads the GPUs again and again and keeps what the rules make of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from fairlead_agent import gpu_rules, xid
from fairlead_agent.gpu import GpuError

if TYPE_CHECKING:
    from fairlead_agent.config import Config
    from fairlead_agent.faults import Faults
    from fairlead_agent.gpu import Device
    from fairlead_agent.reasons import Problem

#: Seconds between two readings while the engine runs: three of them (the damping) and NVML's own deadline fit into 15 s.
POLL_SECONDS = 2.0


class Gpus(Protocol):
    """Where readings come from."""

    async def read(self) -> tuple[Device, ...]:
        """Raises GpuError."""


class FaultStore(Protocol):
    """Keeps faults for the next agent in this pod."""

    def load(self) -> Faults: ...
    def save(self, faults: Faults) -> None: ...


class GpuWatch:
    """What is known of the GPUs, with what an earlier agent of this pod has left."""

    def __init__(self, config: Config, gpus: Gpus, store: FaultStore) -> None:
        self._config = config
        self._gpus = gpus
        self._store = store
        self._faults = store.load()
        self._state = gpu_rules.GpuState(ecc=self._faults.ecc)
        self.devices: tuple[Device, ...] = ()
        #: When they were read, by the event loop's clock.
        self.read_at = 0.0
        self.xids: Counter[tuple[str, int]] = Counter()

    @property
    def problem(self) -> Problem | None:
        """What takes the replica out of the Service, fatal Xids aside."""
        return self._state.problem

    @property
    def xid_problem(self) -> Problem | None:
        """The first fatal Xid. It is for good: a GPU after one serves nobody until it is reset."""
        return next((xid.problem(*each) for each in self._faults.xids.items()), None)

    async def start_problem(self) -> Problem | None:
        """Reads once; why the engine must not be started now. None also notes what others use, so start at once then."""
        devices = await self._read(decoded=False)
        if isinstance(devices, tuple):
            problem = gpu_rules.start_problem(devices, self._config.gpu.memory_utilization_percent)
            if problem is None:
                self._state = gpu_rules.about_to_start(self._state, devices)
            return problem
        return devices

    async def read(self, *, decoded: bool) -> None:
        """Reads once and judges."""
        await self._read(decoded=decoded)

    async def run(self, decoded: asyncio.Event) -> None:
        """Reads until cancelled."""
        while True:
            await asyncio.sleep(min(POLL_SECONDS, self._config.health.probe_timeout_seconds))
            await self._read(decoded=decoded.is_set())

    def on_xid(self, uuid: str, number: int) -> None:
        """An Xid came."""
        self.xids[uuid, number] += 1
        if xid.fatal(number) and not self._faults.xids:
            self._keep(replace(self._faults, xids={uuid: number}))

    async def _read(self, *, decoded: bool) -> tuple[Device, ...] | Problem:
        threshold = self._config.health.failure_threshold
        try:
            devices = await self._gpus.read()
        except GpuError as error:
            self._state = gpu_rules.unreadable(self._state, error.problem, threshold)
            self.devices = ()
            return error.problem
        self.devices, self.read_at = devices, asyncio.get_running_loop().time()
        self._state = gpu_rules.observe(
            self._state, devices, floor=self._config.gpu.memory_floor_bytes, threshold=threshold, decoded=decoded
        )
        self._keep(replace(self._faults, ecc=self._state.ecc))
        return devices

    def _keep(self, faults: Faults) -> None:
        if faults != self._faults:
            self._faults = faults
            self._store.save(faults)
