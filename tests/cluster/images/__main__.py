"""`python3 -m tests.cluster images`: build the local images, import what the running cluster lacks, lay down the tiny model."""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.access import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.images import base, envoy, vllm_cpu
from tests.cluster.images.buildah import Buildah
from tests.cluster.images.cache import forget, key
from tests.cluster.images.containerd import import_missing, remove_superseded
from tests.cluster.images.oci import Image, Layer, layer_of
from tests.cluster.images.tiny_model import tiny_model
from tests.cluster.layout import REPOSITORY, cache_root
from tests.cluster.progress import say, step

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Two days: a change of vLLM's environment leaves 5 GB behind, and another clone may still be at the old one.
_KEPT_SECONDS = 2 * 86400.0


def build(home: Path) -> dict[str, Image]:
    """The images by what they are for: operator, envoy, vllm-cpu. What is in the cache is not made again.

    Raises:
        ClusterError: a step failed.
    """
    root = base.root_filesystem(home)
    lowest = Image(f"localhost/fairlead/base:{root.parent.name[-12:]}", (_layer("the base", root, home),), {"Env": [_PATH]})
    envoy_tree = envoy.binary(home)
    vllm_tree = vllm_cpu.environment(home).parents[1]
    buildah = Buildah(home)
    operator = buildah.build(REPOSITORY / "operator/Dockerfile", REPOSITORY / "operator", lowest)
    agent = buildah.build(REPOSITORY / "runtime/images/vllm.Dockerfile", REPOSITORY / "runtime/agent", lowest)
    parts = {
        "operator": (operator.layers, operator.config),
        "envoy": ((_layer("Envoy", envoy_tree, home),), {"Env": [_PATH], "Entrypoint": ["envoy"], "User": "65532:65532"}),
        # What the Dockerfile adds to the engine's image, on top of an engine that no registry was needed for.
        "vllm-cpu": (
            (_layer("vLLM", vllm_tree, home), *agent.layers),
            {**agent.config, "Env": [f"{_PATH}:{vllm_cpu.AT}/bin"]},
        ),
    }
    return {name: _image(name, (*lowest.layers, *layers), config) for name, (layers, config) in parts.items()}


def values(images: dict[str, Image]) -> dict[str, Any]:
    """The chart's values that name the images."""
    return {
        "images": {
            "operator": images["operator"].reference,
            "sidecar": images["envoy"].reference,
            "engines": {"vllm": {"0.32.0": images["vllm-cpu"].reference}},
        }
    }


def _image(name: str, layers: tuple[Layer, ...], config: Mapping[str, Any]) -> Image:
    tag = key(json.dumps([[layer.digest for layer in layers], config], sort_keys=True))
    return Image(f"localhost/fairlead/{name}:{tag}", layers, config)


def _layer(what: str, tree: Path, home: Path) -> Layer:
    target = home / f"{tree.parent.name}.layer"
    if target.exists():
        return layer_of(tree, target)
    with step(f"Layer of {what}"):
        return layer_of(tree, target)


def run(cluster: Cluster | None) -> list[str]:
    """Build, and fill the cluster if there is one; the images' references.

    Raises:
        ClusterError: a step failed.
    """
    cache = cache_root()
    home = cache / "images"
    images = build(home)
    model = tiny_model(vllm_cpu.environment(home), cache, home)
    forget(home, unused_seconds=_KEPT_SECONDS)
    if cluster is not None:
        import_missing(list(images.values()), cluster.ctr)
        for reference in remove_superseded(list(images.values()), cluster.ctr):
            say(f"  Removed {reference}, which nothing uses")
        shutil.copytree(model, cluster.models / "tiny", dirs_exist_ok=True)
        (cluster.state / "values.yaml").write_text(json.dumps(values(images), indent=2) + "\n")
        say(f"The images are in the cluster. For Helm: --values {cluster.state / 'values.yaml'}")
    return [image.reference for image in images.values()]


def main() -> int:
    """0 if all is well, 1 with one sentence if not."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster images", description=__doc__)
    parser.add_argument("--build-only", action="store_true", help="fill the cache; needs no cluster")
    build_only = parser.parse_args().build_only
    cluster = None if build_only else Cluster.find()
    if cluster is None and not build_only:
        say("Error: No cluster is up: `make cluster-up` starts one, and --build-only builds without it")
        return 1
    try:
        print("\n".join(run(cluster)))
    except ClusterError as error:
        say(f"Error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
