"""A ModelDeployment that is autoscaled, with a kubelet that runs its pods at once and an agent in each."""

from contextlib import ExitStack

from fairlead.reconciler.kinds import DEPLOYMENT, POD
from tests.control_plane.agents import Load, agent
from tests.control_plane.world import World
from tests.objects import Object
from tests.tenant import soon
from tests.waiting import CONVERGED_SECONDS

NAME = "chat"


class Served:
    """The one called chat."""

    def __init__(self, world: World, stack: ExitStack) -> None:
        self.world = world
        self.loads: dict[str, Load] = {}
        self._stack = stack

    def create(self, replicas: int = 1, **autoscaling: object) -> None:
        self.world.create(NAME, {"replicas": replicas, "autoscaling": {"minReplicas": 1, "maxReplicas": 4, **autoscaling}})
        self.serve(replicas)

    def serve(self, count: int, *, seconds: float = CONVERGED_SECONDS) -> None:
        """Play the kubelet until so many pods run and no others are there."""

        def all_run() -> bool:
            pods = self.world.pods(NAME)
            for pod in pods:
                name = pod["metadata"]["name"]
                if "deletionTimestamp" in pod["metadata"]:
                    self.world.objects.delete(POD, self.world.namespace, name, gracePeriodSeconds=0)
                elif name not in self.loads:
                    self._run(pod)
            return len(pods) == count and all(pod["metadata"]["name"] in self.loads for pod in pods)

        soon(f"{count} replicas", all_run, seconds=seconds)

    def _run(self, pod: Object) -> None:
        load = Load()
        address = self.world.run(pod, ready=False)
        self._stack.enter_context(agent(address, load.answer))
        self.world.run(pod, ready=True, address=address)
        self.loads[pod["metadata"]["name"]] = load

    @property
    def there(self) -> list[Load]:
        """The loads of the replicas that there are."""
        return [self.loads[pod["metadata"]["name"]] for pod in self.world.pods(NAME) if pod["metadata"]["name"] in self.loads]

    def busy(self, waiting: int = 12) -> None:
        """Have each of them work at what it can, and requests wait."""
        for load in self.there:
            load.running, load.waiting, load.rate, load.duty = 32, waiting, 400.0, 98

    def idle(self) -> None:
        for load in self.there:
            load.running, load.waiting, load.rate, load.duty = 0, 0, 0.0, 0

    @property
    def asked(self) -> int:
        asked: int = self.world.must_child(DEPLOYMENT, NAME)["spec"]["replicas"]
        return asked

    @property
    def status(self) -> Object:
        status: Object = (self.world.mdep(NAME).get("status") or {}).get("autoscaling") or {}
        return status

    def decided(self) -> None:
        soon("it has decided", lambda: self.status)
