"""One visit of one ModelDeployment: look, decide, apply, tell.

Level-triggered: a visit starts from what is there and never from what has happened, so that it may be repeated, cut short or
skipped at any point. Looking costs the API server nothing (the store is filled by watches); what is made or removed is looked
at again first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fairlead.api.conditions import ConditionType, Reason
from fairlead.api.model_deployment import ModelDeployment
from fairlead.reconciler.client import ApiError
from fairlead.reconciler.decide import controller_of
from fairlead.reconciler.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, POD, Key, Manifest
from fairlead.reconciler.pods import PodView, belongs, view
from fairlead.reconciler.scaling import replicas, shown
from fairlead.reconciler.status import Facts
from fairlead.reconciler.status_writer import wall_clock
from fairlead.reconciler.words import bounded
from fairlead.resources import build, validate
from fairlead.resources.engine_flags.validate import Problem
from fairlead.resources.hub_model import is_hub

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fairlead.reconciler.agent_status import Agents
    from fairlead.reconciler.children import Children
    from fairlead.reconciler.scaling import Scaled
    from fairlead.reconciler.status_writer import StatusWriter
    from fairlead.reconciler.store import Store
    from fairlead.resources.context import BuildContext

UNREADY_SECONDS = 5.0
"""How soon to look again while a replica is not ready: what its agent says changes without any event of Kubernetes."""
CONFLICT_SECONDS = 10.0
"""How soon to look again at an object in the way: one without our label is not watched. Costs one read."""
REFUSED_SECONDS = 30.0
"""How soon to try again what the API server has refused: that a quota was raised or a policy changed comes with no event."""
MADE_KEPT = 500
"""ModelDeployments whose children are kept as they are wanted, the last visited: about 0.1 MB each."""
AGENT_GRACE_SECONDS = 10.0
"""How long after its container's start an agent may be silent: Python's start and the listening socket take about one."""


class Reconciler:
    """Visits ModelDeployments."""

    def __init__(
        self,
        store: Store,
        children: Children,
        agents: Agents,
        writer: StatusWriter,
        context: BuildContext,
        *,
        scales: Mapping[Key, Scaled],
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        """Take the doors to the world, the operator's settings, what the autoscaler decides and the wall clock."""
        self._store = store
        self._children = children
        self._agents = agents
        self._writer = writer
        self._context = context
        self._scales = scales
        self._now = now
        self._made: OrderedDict[Key, tuple[tuple[str, int, int], list[Problem], list[Manifest]]] = OrderedDict()

    async def visit(self, key: Key) -> float | None:
        """Make it so; returns after how many seconds to come again without an event. Raises ApiError for a repeat."""
        live = self._store.get(MODEL_DEPLOYMENT, key.namespace, key.name)
        if live is None:
            # Its children go by their owner references.
            self._made.pop(key, None)
            self._children.forget(key)
            self._writer.forget(key)
            return None
        try:
            return await self._visit(key, live)
        except ApiError as error:
            if error.namespace_ends:
                return None  # all that is in it goes, this ModelDeployment too
            raise

    async def _visit(self, key: Key, live: Manifest) -> float | None:
        deleting = "deletionTimestamp" in live["metadata"]
        model, problems = _read(live)
        if model is not None:
            model = self._scaled(key, model, live)
        blocked: list[Problem] = []
        if model is not None and not deleting:
            problems, wanted = self._wanted(key, model)
            if not problems:
                blocked = await self._children.align(key, live["metadata"]["uid"], wanted)
        facts = await self._facts(key, live, model, [*problems, *blocked])
        put_off = await self._writer.write(live, facts)
        waits = [put_off] if put_off is not None else []
        if blocked:
            waits.append(CONFLICT_SECONDS if blocked[0].reason is Reason.NAME_CONFLICT else REFUSED_SECONDS)
        if _unready(facts):
            waits.append(UNREADY_SECONDS)
        return min(waits, default=None)

    def _scaled(self, key: Key, model: ModelDeployment, live: Manifest) -> ModelDeployment:
        """The ModelDeployment with the number of replicas that it should have, whoever says so."""
        number = replicas(model, self._scale(key, live), self._deployment(key, live), live.get("status") or {})
        if number == model.spec.replicas:
            return model
        return model.model_copy(update={"spec": model.spec.model_copy(update={"replicas": number})})

    def _scale(self, key: Key, live: Manifest) -> Scaled | None:
        """What the autoscaler says of this one, and not of an earlier one of the same name."""
        scaled = self._scales.get(key)
        return scaled if scaled is not None and scaled.uid == live["metadata"]["uid"] else None

    def _deployment(self, key: Key, live: Manifest) -> Manifest | None:
        """Its Deployment; somebody else's of the same name is none."""
        deployment = self._store.get(DEPLOYMENT, key.namespace, key.name)
        ours = deployment is not None and (controller_of(deployment) or {}).get("uid") == live["metadata"]["uid"]
        return deployment if ours else None

    def _wanted(self, key: Key, model: ModelDeployment) -> tuple[list[Problem], list[Manifest]]:
        """What is wrong with the spec, and else the children.

        Made once for each generation and number of replicas, for that is most of a visit.
        """
        of = (model.metadata.uid, model.metadata.generation, model.spec.replicas)
        known = self._made.pop(key, None)
        if known is None or known[0] != of:
            problems = list(validate(model, self._context))
            known = (of, problems, [] if problems else build(model, self._context))
        self._made[key] = known
        if len(self._made) > MADE_KEPT:
            self._made.popitem(last=False)
        return known[1], known[2]

    async def _facts(self, key: Key, live: Manifest, model: ModelDeployment | None, invalid: Sequence[Problem]) -> Facts:
        """Everything that the status is made of; asks the agents of pods that run and do not serve."""
        deployment = self._deployment(key, live)
        pods = await self._with_keys(key, model, [view(pod) for pod in self._store.owned(POD, key) if belongs(pod, key.name)])
        answers = await self._agents.ask((pod.name, pod.address) for pod in pods if pod.address)
        wanted = model.spec.replicas if model is not None else 0
        if invalid and deployment is not None:
            wanted = deployment["spec"]["replicas"]  # the last valid spec is in force
        agents = {pod.name: self._fair(pod, answers[pod.name]) for pod in pods if pod.name in answers}
        autoscaling, autoscaled = shown(model, self._scale(key, live), live.get("status") or {})
        return Facts(
            name=key.name,
            namespace=key.namespace,
            generation=live["metadata"]["generation"],
            wanted=wanted,
            served_name=model.served_name if model is not None else "",
            gpu=model.spec.accelerator.resource_name if model is not None else "",
            open_to_cluster=model is not None and model.spec.access is None,
            deleting="deletionTimestamp" in live["metadata"],
            invalid=invalid,
            deployment=deployment,
            pods=pods,
            agents=agents,
            hub=model is not None and is_hub(model.spec.model.uri),
            loading=any(self._loads(pod, agents, deployment) for pod in pods),
            unavailable_seconds=self._unavailable_seconds(live),
            autoscaling=autoscaling,
            autoscaled=autoscaled,
        )

    def _loads(self, pod: PodView, agents: Mapping[str, Problem], deployment: Manifest | None) -> bool:
        """Whether a replica downloads its model, or has just done so: then its engine has the whole time of a start before it."""
        if pod.name in agents and agents[pod.name].reason is Reason.MODEL_DOWNLOADING:
            return True
        if not pod.commit or not pod.running_since or pod.crash is not None or deployment is None:
            return False
        limit: int = deployment["spec"]["progressDeadlineSeconds"]
        return self._age(pod.running_since) < limit

    def _age(self, since: str) -> float:
        """Seconds since a time in RFC 3339."""
        return (self._now() - datetime.fromisoformat(since)).total_seconds()

    def _unavailable_seconds(self, live: Manifest) -> float:
        conditions = (live.get("status") or {}).get("conditions") or []
        available: dict[str, str] = next((each for each in conditions if each["type"] == ConditionType.REPLICAS_AVAILABLE), {})
        if available.get("status") != "False":
            return 0.0
        return self._age(available["lastTransitionTime"])

    async def _with_keys(self, key: Key, model: ModelDeployment | None, pods: list[PodView]) -> list[PodView]:
        """The pods, those that do not start for want of the issuer's keys with that for a reason; a read only if some do not."""
        jwks = model.spec.jwks if model is not None else None
        ref = jwks.config_map_key_ref if jwks is not None else None
        waiting = [pod for pod in pods if pod.problem is not None and pod.problem.reason is Reason.POD_STARTING]
        lack = await self._children.lacks(key.namespace, ref) if ref is not None and waiting else None
        return pods if lack is None else [replace(pod, problem=lack) if pod in waiting else pod for pod in pods]

    def _fair(self, pod: PodView, answer: Problem) -> Problem:
        """An agent that has only just been started may be silent."""
        if answer.reason is not Reason.AGENT_UNREACHABLE or not pod.running_since:
            return answer
        starting = self._age(pod.running_since) < AGENT_GRACE_SECONDS
        return Problem(Reason.POD_STARTING, "the agent is starting") if starting else answer


def _read(live: Manifest) -> tuple[ModelDeployment | None, list[Problem]]:
    """The ModelDeployment as the operator understands it, or why it does not."""
    try:
        return ModelDeployment.model_validate(live), []
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        return None, [Problem(Reason.INVALID_SPEC, bounded(f"{path}: {first['msg']}; are operator and CRD of one version?"))]


def _unready(facts: Facts) -> bool:
    """Whether a replica that exists does not serve and may tell something new at any moment."""
    return not facts.deleting and any(not pod.ready and not pod.terminating for pod in facts.pods)
