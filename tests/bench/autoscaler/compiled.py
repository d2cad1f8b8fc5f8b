"""The simulator's engines in C, behind ctypes: a benchmark plays hundreds of days."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlead.autoscaler.simulator.engine import Reading

if TYPE_CHECKING:
    from array import array

    from fairlead.autoscaler.simulator.engine import Model

MOST_REPLICAS = 64
"""Slots of compiled.c: replicas that exist at once, those that drain among them."""
_SOURCE = Path(__file__).with_name("compiled.c")
_COMMAND = (
    "gcc",
    "-std=gnu11",
    "-shared",
    "-fPIC",
    "-O2",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fvisibility=hidden",
)


class _Model(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_double) for name in ("step_base", "step_prefill", "step_decode", "overhead_base", "overhead_prompt")),
        ("kv_tokens", ctypes.c_int64),
        ("max_running", ctypes.c_int32),
        ("step_tokens", ctypes.c_int32),
    )


@cache
def _library() -> Any:
    """compiled.c, compiled once per content for this user.

    Raises:
        SystemExit: there is no C compiler, or it failed.
    """
    name = hashlib.sha256(_SOURCE.read_bytes() + " ".join(_COMMAND).encode()).hexdigest()[:12]
    root = os.environ.get("FAIRLEAD_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "fairlead")
    folder = Path(root, "bench")
    built = folder / f"engines-{name}.so"
    if not built.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch, built.name)
            try:
                subprocess.run([*_COMMAND, "-o", made, _SOURCE, "-lm"], check=True)
            except FileNotFoundError:
                raise SystemExit("the simulator needs a C compiler: apt-get install gcc libc6-dev") from None
            made.replace(built)
    library = ctypes.CDLL(str(built))
    library.sim_new.restype = ctypes.c_void_p
    return library


class Engines:
    """The same as fairlead.autoscaler.simulator.engine.Engines, to the last bit."""

    def __init__(
        self,
        model: Model,
        arrival: array[float],
        prompt: array[int],
        output: array[int],
        *,
        any_replica: bool = False,
        seed: int = 1,
    ) -> None:
        """Arrivals in seconds and in order; prompt and output in tokens, at least 1."""
        self._library = _library()
        self._keep = (arrival, prompt, output)
        self._first = (ctypes.c_float * len(arrival))()
        constants = _Model(**{field[0]: getattr(model, field[0]) for field in _Model._fields_})

        def pointer(values: array[Any], kind: Any) -> Any:
            return (kind * len(values)).from_buffer(values)

        self._sim = ctypes.c_void_p(
            self._library.sim_new(
                ctypes.byref(constants),
                pointer(arrival, ctypes.c_double),
                pointer(prompt, ctypes.c_int32),
                pointer(output, ctypes.c_int32),
                self._first,
                ctypes.c_int64(len(arrival)),
                ctypes.c_uint64(seed),
                ctypes.c_int(any_replica),
            )
        )
        self._out = (ctypes.c_double * 5)()

    def open(self, slot: int, now: float) -> None:
        """A replica begins to take requests.

        Raises:
            ValueError: there are too many at once.
        """
        if slot >= MOST_REPLICAS:
            raise ValueError(f"{MOST_REPLICAS} replicas at once are the most that compiled.c has room for")
        self._library.sim_open(self._sim, slot, ctypes.c_double(now))

    def drain(self, slot: int) -> None:
        """It takes no more, and finishes those it has."""
        self._library.sim_drain(self._sim, slot)

    def remove(self, slot: int) -> None:
        """It is gone."""
        self._library.sim_remove(self._sim, slot)

    def advance(self, until: float) -> None:
        """Play everything up to that time."""
        self._library.sim_advance(self._sim, ctypes.c_double(until))

    def read(self, slot: int) -> Reading:
        """What its agent would tell."""
        self._library.sim_read(self._sim, slot, self._out)
        return Reading(*self._out)

    def close(self) -> list[float]:
        """First-token time of each request in seconds; negative for those that never got one."""
        self._library.sim_free(self._sim)
        return list(self._first)
