"""The fake GPUs of a cluster: their names, and what a container that gets one sees."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RESOURCE = "nvidia.com/gpu"
COUNT = 5

#: Where the fake NVML in a container looks for its devices.
CONTAINER_FOLDER = "/run/fake-nvml"
#: Where the dynamic linker finds it, as it would find the driver's own.
CONTAINER_LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"


def names(digits: str, count: int) -> list[str]:
    """UUIDs as NVML writes them, the same for a clone each time its cluster comes up."""
    return [f"GPU-{uuid.uuid5(uuid.NAMESPACE_URL, f'fairlead:{digits}:{number}')}" for number in range(count)]


@dataclass(frozen=True)
class Mount:
    """A path of the host, read-only in a container."""

    host: str
    container: str


def mounts(chosen: Sequence[str], folder: Path, library: Path) -> list[Mount]:
    """For a container that gets the chosen devices: each one's state, and the library that reads it."""
    states = [Mount(str(folder / name), f"{CONTAINER_FOLDER}/{name}") for name in chosen]
    return [*states, Mount(str(library), CONTAINER_LIBRARY)]


def visible(chosen: Sequence[str]) -> dict[str, str]:
    """The environment that NVIDIA's own plugin sets."""
    return {"NVIDIA_VISIBLE_DEVICES": ",".join(chosen)}


def unhealthy(file: Path) -> frozenset[str]:
    """The devices named in the file, one a line; none where there is no file."""
    try:
        return frozenset(file.read_text().split())
    except FileNotFoundError:
        return frozenset()
