"""Who makes this clone's cluster: CLUSTER=kind where Docker runs, processes of our own otherwise."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.cluster import debian
from tests.cluster import down as native_down
from tests.cluster import status as native_status
from tests.cluster import up as native_up
from tests.cluster.access import Cluster, made_by
from tests.cluster.errors import ClusterError
from tests.cluster.kind import commands
from tests.cluster.kind.node import KIND, NATIVE
from tests.cluster.layout import REPOSITORY, Layout, cache_root


class Maker(Protocol):
    """What the commands ask for. Each raises ClusterError with a sentence for people."""

    def prepare(self) -> None:
        """What has to be on the machine."""

    def up(self, layout: Layout, gpus: int | None) -> Cluster | None:
        """The cluster; None if it was only shown what would be done."""

    def down(self, layout: Layout) -> None: ...

    def status(self, layout: Layout) -> tuple[str, bool]:
        """What to print, and whether all is well."""

    def images(self, layout: Layout, options: Sequence[str]) -> None: ...


class Native:
    """etcd, API server, kubelet and the others as processes in namespaces of their own."""

    def prepare(self) -> None:
        debian.install(cache_root())

    def up(self, layout: Layout, gpus: int | None) -> Cluster:
        return native_up.up(layout, gpus)

    def down(self, layout: Layout) -> None:
        native_down.down(layout)

    def status(self, layout: Layout) -> tuple[str, bool]:
        return native_status.status(layout)

    def images(self, layout: Layout, options: Sequence[str]) -> None:  # noqa: ARG002 # the command finds the clone's by itself
        done = subprocess.run([sys.executable, "-m", "tests.cluster.images", *options], cwd=REPOSITORY, check=False)
        if done.returncode:
            raise ClusterError(
                "The images could not be built: see above. Once that is mended, the same command goes on from there"
            )


@dataclass(frozen=True)
class Kind:
    """A container of Docker; `dry` shows its commands instead of running them."""

    dry: bool

    def prepare(self) -> None:
        if not self.dry:
            commands.check_machine()

    def up(self, layout: Layout, gpus: int | None) -> Cluster | None:
        return commands.up(layout, gpus, dry=self.dry)

    def down(self, layout: Layout) -> None:
        commands.down(layout, dry=self.dry)

    def status(self, layout: Layout) -> tuple[str, bool]:
        return commands.status(layout)

    def images(self, layout: Layout, options: Sequence[str]) -> None:
        if options:
            raise ClusterError(f"{' '.join(options)}: a cluster of kind has no such option, Docker builds its images")
        commands.images(layout, dry=self.dry)


def chosen(layout: Layout, environ: Mapping[str, str] = os.environ) -> Maker:
    """The one that FAIRLEAD_CLUSTER names (make CLUSTER=…); where it is empty, the one whose cluster is there.

    Raises:
        ClusterError: another word, another one's cluster is there, or DRY_RUN where nothing can be shown.
    """
    word, there = environ.get("FAIRLEAD_CLUSTER", ""), made_by(layout)
    dry = environ.get("DRY_RUN", "0") not in {"", "0"}
    if word not in {"", KIND, NATIVE}:
        raise ClusterError(f"CLUSTER={word} is unknown: write {KIND} or {NATIVE}, or leave it out")
    if word and there and word != there and not dry:
        raise ClusterError(f"This clone has a cluster of CLUSTER={there}: `make cluster-down CLUSTER={there}` first")
    if (word or there or NATIVE) == KIND:
        return Kind(dry)
    if dry:
        raise ClusterError(
            f"DRY_RUN=1 shows the commands of CLUSTER={KIND}; the cluster without Docker is not made by commands alone"
        )
    return Native()
