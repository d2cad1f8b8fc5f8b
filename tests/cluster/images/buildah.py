"""Builds a Dockerfile of this repository on a local base, as its users do with Docker on theirs."""

import configparser
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.errors import ClusterError
from tests.cluster.images.cache import key, once
from tests.cluster.images.oci import Image, Layer, write_archive
from tests.cluster.images.pypi import settings
from tests.cluster.progress import run_logged


@dataclass(frozen=True)
class Built:
    """What a Dockerfile made of a base."""

    #: Names the Dockerfile, its context and the base.
    key: str
    #: The layers above the base's.
    layers: tuple[Layer, ...]
    #: The image's configuration: Entrypoint, User, Env …
    config: Mapping[str, Any]


class Buildah:
    """Buildah with a store of its own in the cache. It needs no daemon, and leaves no mount behind."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._command = [
            *("unshare", "--mount"),  # what the store mounts is gone with the command
            *("buildah", f"--root={home / 'buildah'}", f"--runroot={home / 'buildah-run'}", "--storage-driver=overlay"),
        ]

    def build(self, dockerfile: Path, context: Path, base: Image) -> Built:
        """The image that `dockerfile` makes of `context`, its argument BASE being `base`; made the first time.

        Raises:
            ClusterError: buildah is missing, or the build failed; the message ends with what it said.
        """
        name = context.name if dockerfile.name == "Dockerfile" else dockerfile.stem
        made_of = key(dockerfile, context, base.reference, Path(__file__))

        def make(scratch: Path) -> None:
            self._pull(base)
            self._build(name, dockerfile, context, base, scratch / "image")
            for layer in base.layers:
                blob = _blob(scratch / "image", layer.digest)
                if not blob.exists():
                    raise ClusterError(
                        f"buildah wrote other layers of {base.reference} than it was given: {layer.digest} is missing"
                    )
                blob.unlink()

        image = once(self._home / f"{name}-{made_of}", make) / "image"
        manifest = json.loads((image / "manifest.json").read_text())
        added = [each["digest"] for each in manifest["layers"]][len(base.layers) :]
        config = json.loads(_blob(image, manifest["config"]["digest"]).read_text())["config"]
        return Built(made_of, tuple(Layer.of(_blob(image, digest), digest) for digest in added), config)

    def _pull(self, base: Image) -> None:
        """Into buildah's store, if it is not there."""
        known = [*self._command, "inspect", "--type=image", base.reference]
        try:
            if subprocess.run(known, capture_output=True, check=False).returncode == 0:
                return
        except FileNotFoundError:
            raise ClusterError("buildah is not installed: `make debian` installs it") from None
        with tempfile.NamedTemporaryFile(dir=self._home) as archive:
            write_archive(base, archive)
            archive.flush()
            source = f"oci-archive:{archive.name}:{base.reference}"
            run_logged("The base, into buildah's store", [*self._command, "pull", source], self._home / "buildah-pull.log")

    def _build(self, name: str, dockerfile: Path, context: Path, base: Image, image: Path) -> None:
        reference, log = f"localhost/fairlead/{name}:local", self._home / f"{name}.log"
        with _pip_secrets(self._home) as secrets:
            options = ["--isolation=chroot", "--layers", "--pull=never", "--format=oci", *secrets]
            build = [
                "bud",
                *options,
                f"--build-arg=BASE={base.reference}",
                f"--tag={reference}",
                f"--file={dockerfile}",
                str(context),
            ]
            run_logged(f"{dockerfile.name} of {name}", [*self._command, *build], log)
        # dir: is the one transport that leaves the layers uncompressed.
        push = ["push", "--disable-compression", "--format=oci", reference, f"dir:{image}"]
        run_logged(f"Layers of {name}", [*self._command, *push], self._home / f"{name}-push.log")


@contextmanager
def _pip_secrets(home: Path) -> Iterator[list[str]]:
    """Options that lend this machine's pip settings to the build. They reach no layer, and the file is gone afterwards."""
    ours = settings(home)
    with tempfile.TemporaryDirectory() as folder:
        options = []
        certificates = ours.pop("cert", "")
        if certificates:
            ours["cert"] = "/run/secrets/pip-ca"
            options.append(f"--secret=id=pip-ca,src={certificates}")
        parser = configparser.RawConfigParser()
        parser["global"] = ours
        file = Path(folder, "pip.conf")
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as text:
            parser.write(text)
        yield [*options, f"--secret=id=pip-conf,src={file}"]


def _blob(image: Path, digest: str) -> Path:
    return image / digest.removeprefix("sha256:")
