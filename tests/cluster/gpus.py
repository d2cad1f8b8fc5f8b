"""The state of a fake GPU: the files that the fake NVML reads (tests/cluster/nvml/state.h says what each means)."""

import os
import tempfile
from pathlib import Path
from typing import Literal, get_args

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

    def clear(self, *names: Name) -> None:
        """Back to the defaults: of `names`, or of everything when there is none."""
        for name in names or get_args(Name):
            (self.folder / name).unlink(missing_ok=True)
