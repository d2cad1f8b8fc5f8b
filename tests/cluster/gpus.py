"""The state of a fake GPU: the files that the fake NVML reads (tests/cluster/nvml/state.h says what each means)."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal, get_args

from tests.cluster.deviceplugin import devices
from tests.cluster.layout import Layout

Name = Literal[
    "memory_total_bytes",
    "memory_used_bytes",
    "engine_bytes",
    "engine_match",
    "ecc_enabled",
    "ecc_uncorrected",
    "utilization_gpu",
    "xid",
    "hang",
    "error",
]

#: What vLLM's process in the engine container is called, and what it then holds of a GPU of 24 GiB: less than the 90 % that it
#: may, so that memory_used_bytes can be as much as just lets it start (10 %) and some still stays free.
ENGINE_MATCH = "vllm serve"
ENGINE_BYTES = 20 * 2**30


class FakeGPU:
    """One device. A value is in force for the next NVML call: files are replaced by rename, readers never see half of one."""

    def __init__(self, folder: Path) -> None:
        """The device whose state is in `folder`, which bears its UUID; made if it is not there (24 GiB, unused)."""
        self.folder = folder
        self.uuid = folder.name
        folder.mkdir(parents=True, exist_ok=True)

    def set(self, name: Name, value: int | str) -> None:
        """`hang` is in force whatever its value; `clear` ends it."""
        descriptor, scratch = tempfile.mkstemp(dir=self.folder, prefix=".")
        with os.fdopen(descriptor, "w") as file:
            file.write(str(value))
            os.fchmod(descriptor, 0o644)  # the engine's container runs as another user
        Path(scratch).replace(self.folder / name)

    def append(self, name: Literal["xid"], line: int | str) -> None:
        """One more line: one event for each process that registered for events before."""
        path = self.folder / name
        self.set(name, (path.read_text() if path.exists() else "") + f"{line}\n")

    def follow_vllm(self) -> None:
        """From now on a running vLLM is seen to hold memory; what was set about engines before stays."""
        engine: dict[Name, int | str] = {"engine_bytes": ENGINE_BYTES, "engine_match": ENGINE_MATCH}
        for name, value in engine.items():
            if not (self.folder / name).exists():
                self.set(name, value)

    def clear(self, *names: Name) -> None:
        """Back to the defaults: of `names`, or, when there is none, of everything but what the engine holds."""
        for name in names or set(get_args(Name)) - {"engine_bytes", "engine_match"}:
            (self.folder / name).unlink(missing_ok=True)


def make_gpus(layout: Layout, count: int) -> None:
    """As many folders as there shall be GPUs, on which vLLM takes memory; the state in those that stay is kept."""
    wanted = devices.names(layout.digits, count)
    layout.gpus.mkdir(exist_ok=True)
    for each in layout.gpus.iterdir():
        if each.name not in wanted:
            shutil.rmtree(each)
    for name in wanted:
        FakeGPU(layout.gpus / name).follow_vllm()
