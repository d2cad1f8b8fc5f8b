"""Which commands make, fill and remove a cluster of kind: pure, from paths and names."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.controlplane import AUDIT_POLICY
from tests.cluster.deviceplugin.devices import RESOURCE
from tests.cluster.kind import node
from tests.cluster.kind.config import NODE_IMAGE, Place, config, device_plugin
from tests.cluster.kind.steps import Run, Step, Write
from tests.cluster.layout import REPOSITORY

#: Upstream's images: of the sidecar as in the chart's values.yaml, of the engine the build for the CPU.
SIDECAR = "docker.io/envoyproxy/envoy:distroless-v1.40.0"
ENGINE_VERSION = "0.32.0"
ENGINE = f"docker.io/vllm/vllm-openai-cpu:v{ENGINE_VERSION}-x86_64"

#: For each of the node's start and the device plugin's. Most of the first is the download of the node's image, some 400 MB.
PATIENCE = "5m"


@dataclass(frozen=True)
class Programs:
    """Docker, found on PATH, and the paths of the others."""

    kind: Path
    kubectl: Path
    helm: Path
    docker: str = "docker"


@dataclass(frozen=True)
class Plan:
    """The commands for one clone's cluster."""

    place: Place
    programs: Programs

    def create(self) -> list[Step]:
        """From nothing to a node that is ready. The folders that it mounts must be there."""
        place = self.place
        return [
            Write("What the API server logs for the tests", place.audit_policy, json.dumps(AUDIT_POLICY)),
            Write("One node; the state folder lies at the same path in it", place.config, json.dumps(config(place), indent=2)),
            Run(
                f"A node of {NODE_IMAGE.partition('@')[0]}",
                (
                    *(str(self.programs.kind), "create", "cluster", f"--config={place.config}"),
                    *(f"--kubeconfig={place.layout.kubeconfig}", f"--wait={PATIENCE}"),
                ),
            ),
        ]

    def restart(self) -> list[Step]:
        """After the machine was."""
        return [Run("The node again", (self.programs.docker, "start", node.name(self.place.layout)))]

    def advertise_gpus(self, image: str, gpus: int) -> list[Step]:
        """The device plugin, from image to GPUs that can be allocated; what is there already is left."""
        place = self.place
        dockerfile, context = REPOSITORY / "tests" / "cluster" / "deviceplugin" / "Dockerfile", REPOSITORY / "tests"
        wanted = f"jsonpath={{.status.allocatable.{RESOURCE.replace('.', chr(92) + '.')}}}={gpus}"
        return [
            self._build("Image of the device plugin", image, dockerfile, context),
            self._load("The device plugin's image, into the node", image),
            Write("The device plugin", place.device_plugin, json.dumps(device_plugin(place, image), indent=1)),
            Run("The device plugin, applied", (*self._kubectl, "apply", "--server-side", f"--filename={place.device_plugin}")),
            Run(
                f"{gpus} GPUs",
                (*self._kubectl, "wait", f"node/{node.name(place.layout)}", f"--for={wanted}", f"--timeout={PATIENCE}"),
            ),
        ]

    def fill(self, tags: "Tags", owner: str, *, model: bool) -> list[Step]:
        """Images into the node, and with `model` the tiny model into its folder, by a user whose ID is `owner` (UID:GID)."""
        layout, agent = self.place.layout, REPOSITORY / "runtime" / "agent"
        script = REPOSITORY / "tests" / "cluster" / "images" / "make_tiny_model.py"
        write = (
            *(self.programs.docker, "run", "--rm", "--network=none", f"--user={owner}", "--env=HOME=/tmp"),
            *(f"--volume={layout.models}:/models", f"--volume={script}:/script.py:ro", "--entrypoint=python3"),
            *(tags.engine, "-I", "/script.py", "/models/tiny"),
        )
        dockerfile = REPOSITORY / "runtime" / "images" / "vllm.Dockerfile"
        return [
            self._build("Image of the operator", tags.operator, REPOSITORY / "operator" / "Dockerfile", REPOSITORY / "operator"),
            self._build("Image of the engine", tags.engine, dockerfile, agent, f"--build-arg=BASE={ENGINE}"),
            Run("Image of the sidecar", (self.programs.docker, "pull", SIDECAR)),
            self._load("Images, into the node", tags.operator, tags.engine, SIDECAR),
            *([Run("The tiny model", write)] if model else []),
            Write("The chart's values", layout.state / "values.yaml", json.dumps(values(tags), indent=2) + "\n"),
        ]

    def delete(self) -> list[Step]:
        """The node and all in it."""
        kind, layout = str(self.programs.kind), self.place.layout
        return [Run("The node's end", (kind, "delete", "cluster", f"--name={layout.name}", f"--kubeconfig={layout.kubeconfig}"))]

    @property
    def _kubectl(self) -> tuple[str, ...]:
        return str(self.programs.kubectl), f"--kubeconfig={self.place.layout.kubeconfig}"

    def _build(self, why: str, image: str, dockerfile: Path, context: Path, *options: str) -> Run:
        return Run(why, (self.programs.docker, "build", f"--tag={image}", f"--file={dockerfile}", *options, str(context)))

    def _load(self, why: str, *images: str) -> Run:
        return Run(why, (str(self.programs.kind), "load", "docker-image", f"--name={self.place.layout.name}", *images))


@dataclass(frozen=True)
class Tags:
    """The images of this checkout by name. A changed source is another name, so that what runs is rolled."""

    operator: str
    engine: str
    device_plugin: str


def values(tags: Tags) -> dict[str, Any]:
    """The chart's values that name the images."""
    return {"images": {"operator": tags.operator, "sidecar": SIDECAR, "engines": {"vllm": {ENGINE_VERSION: tags.engine}}}}
