"""The least that it can take: a client that knows nothing applies the same children, one after the other."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fairlead.api.model_deployment import ModelDeployment
from fairlead.controller.settings import Settings
from fairlead.reconciler.kinds import kind_of
from fairlead.resources import build
from fairlead.resources.names import FIELD_MANAGER
from tests.bench.scale.cluster import Crowd
from tests.bench.scale.pace import Clients, at_rate
from tests.bench.scale.spec import create, model_deployment
from tests.objects import Object, Objects

UID = "00000000-0000-0000-0000-000000000000"
USER = "kubernetes-admin"


def children(world: Crowd, number: int, settings: Settings) -> list[Object]:
    """What the operator would apply, for an owner whose uid is not known yet."""
    live: dict[str, Any] = model_deployment(*world.place(number))
    live["metadata"] |= {"uid": UID, "generation": 1}
    return build(ModelDeployment.model_validate(live), settings.context)


def apply(objects: Objects, manifest: Object, uid: str) -> None:
    meta = manifest["metadata"]
    meta["ownerReferences"][0]["uid"] = uid
    path = f"{kind_of(manifest).path(meta['namespace'], meta['name'])}?fieldManager={FIELD_MANAGER}&force=true"
    objects.request("PATCH", path, manifest, "application/apply-patch+yaml")


def run(world: Crowd, config: Path, rate: float) -> float:
    """Create all, and have as many threads as the operator has workers apply the children; returns the rate that was kept."""
    settings = Settings.load(config)
    wanted = [children(world, number, settings) for number in range(world.count)]
    clients = Clients(world.plane)
    applied: list[Future[None]] = []

    def follow(number: int, uid: str) -> None:
        for manifest in wanted[number]:
            apply(clients.mine(), manifest, uid)

    with ThreadPoolExecutor(settings.workers, "apply") as workers:

        def one(number: int) -> None:
            uid = create(clients.mine(), *world.place(number))["metadata"]["uid"]
            applied.append(workers.submit(follow, number, uid))

        kept = at_rate(world.count, rate, one)
        for each in applied:
            each.result()
    clients.close()
    return kept
