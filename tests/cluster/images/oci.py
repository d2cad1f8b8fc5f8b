"""OCI images without a daemon: layers as uncompressed tar files, and archives of them as a stream.

Uncompressed, because the archive goes to a containerd on the same machine: gzip would take minutes for what is read once.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tests.cluster.images.cache import once

if TYPE_CHECKING:
    from typing_extensions import Buffer

_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Layer:
    """An uncompressed layer on the disk. Its digest is its diff ID as well."""

    path: Path
    digest: str
    size: int

    @classmethod
    def of(cls, path: Path, digest: str) -> "Layer":
        return cls(path, digest, path.stat().st_size)


@dataclass(frozen=True)
class Image:
    """A reference, the layers from the lowest up, and the image's `config` object (Entrypoint, Env, User …)."""

    reference: str
    layers: tuple[Layer, ...]
    config: Mapping[str, Any]


def layer_of(tree: Path, home: Path) -> Layer:
    """The tree as a layer, written into `home` the first time. The same tree makes the same bytes.

    All files are root's; times are whole seconds; devices, sockets and extended attributes are left out.
    """

    def write(scratch: Path) -> None:
        with (scratch / "layer.tar").open("wb", buffering=1 << 20) as file:
            hashed = _Hashed(file)
            with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.GNU_FORMAT, bufsize=1 << 20) as tar:
                tar.add(tree, ".", filter=_plain)
        (scratch / "digest").write_text(f"sha256:{hashed.digest.hexdigest()}")

    folder = once(home, write)
    return Layer.of(folder / "layer.tar", (folder / "digest").read_text())


def write_archive(image: Image, out: IO[bytes], *, leave_out: Container[str] = ()) -> None:
    """Write the image as an archive for `ctr images import`, without the blobs whose digests the reader has already."""
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in image.layers]},
            "history": [{"created_by": "fairlead"} for _ in image.layers],  # buildah wants one for each layer
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [{"mediaType": _LAYER, "digest": layer.digest, "size": layer.size} for layer in image.layers],
        }
    ).encode()
    named = {
        **_descriptor(_MANIFEST, manifest),
        "annotations": {
            "io.containerd.image.name": image.reference,
            "org.opencontainers.image.ref.name": image.reference,
        },
    }
    index = json.dumps({"schemaVersion": 2, "manifests": [named]}).encode()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT, bufsize=1 << 20) as tar:
        for layer in image.layers:
            if layer.digest not in leave_out:
                with layer.path.open("rb") as file:
                    tar.addfile(_file(_blob(layer.digest), layer.size), file)
        for name, data in _small_files(config, manifest, index):
            tar.addfile(_file(name, len(data)), io.BytesIO(data))


class _Hashed(io.RawIOBase):
    """A file to write to that hashes what passes."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: "Buffer") -> int:
        self.digest.update(data)
        return self._file.write(data)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    return entry


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


def _small_files(config: bytes, manifest: bytes, index: bytes) -> Iterable[tuple[str, bytes]]:
    yield _blob(_digest(config)), config
    yield _blob(_digest(manifest)), manifest
    yield "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
    yield "index.json", index


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _file(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry
