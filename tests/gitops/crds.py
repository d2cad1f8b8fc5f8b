"""The CRDs of Flux, Argo CD and KEDA, out of the Go modules that carry them: fetched once into the cache, not committed."""

import fcntl
import hashlib
import json
import os
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.errors import ClusterError
from tests.cluster.layout import cache_root
from tests.cluster.settings import write_whole


@dataclass(frozen=True)
class Source:
    """A Go module, and the files in it that hold CRDs beside other things."""

    module: str
    version: str
    sum: str
    """As in a go.sum: the hash of all its files."""
    files: tuple[str, ...]


_FLUX = "config/data/flux/v2.9.5"
SOURCES = (
    # Flux's own modules do not have all of its CRDs; its operator carries what each release of Flux installs.
    Source(
        "github.com/controlplaneio-fluxcd/flux-operator",
        "v0.59.0",
        "h1:jByuiWYtjSJxucGHuz68tV0DeVFz5CYrKQYfxAwE7lE=",
        (f"{_FLUX}/helm-controller.yaml", f"{_FLUX}/kustomize-controller.yaml", f"{_FLUX}/source-controller.yaml"),
    ),
    Source(
        "github.com/argoproj/argo-cd/v3",
        "v3.5.7",
        "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=",
        ("manifests/crds/application-crd.yaml",),
    ),
    Source(
        "github.com/kedacore/keda/v2",
        "v2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        ("config/crd/bases/keda.sh_scaledobjects.yaml",),
    ),
)


def ensure(cache: Path) -> Path:
    """A file for kubectl with all of them, fetched now if it is not in the cache (60 MB of modules, of which 1 MB is kept).

    Raises:
        ClusterError: no Go, no module proxy, or a module that is not the one whose hash stands here.
    """
    kept = cache / f"gitops-crds-{hashlib.sha256(repr(SOURCES).encode()).hexdigest()[:12]}.json"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "gitops-crds.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            items = [crd for source in SOURCES for crd in _crds(source)]
            write_whole(kept, json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return kept


def _crds(source: Source) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(_download(source, Path(folder))) as module:
        texts = [module.read(f"{source.module}@{source.version}/{file}") for file in source.files]
    documents = [each for text in texts for each in yaml.load_all(text, Loader=yaml.CSafeLoader)]
    return [each for each in documents if each["kind"] == "CustomResourceDefinition"]


def _download(source: Source, folder: Path) -> str:
    """The module's archive, by Go's own client. A Go older than the module asks for tells so and hands it over all the same."""
    env = {**os.environ, "GOMODCACHE": str(folder), "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local"}
    command = ["go", "mod", "download", "-json", f"{source.module}@{source.version}"]
    try:
        done = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ClusterError("Go is not installed, by which the CRDs of Flux, Argo CD and KEDA are fetched") from error
    told = json.loads(done.stdout or "{}")
    if told.get("Sum") != source.sum:
        why = told.get("Error") or done.stderr.strip() or f"its hash is {told.get('Sum')} instead of {source.sum}"
        raise ClusterError(f"{source.module}@{source.version} was not fetched: {why}")
    archive: str = told["Zip"]
    return archive


if __name__ == "__main__":
    ensure(cache_root())
