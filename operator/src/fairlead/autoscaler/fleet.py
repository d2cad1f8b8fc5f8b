"""The ModelDeployments that are autoscaled, as the watches have told of them. Pure."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.api.autoscaling import Autoscaling
from fairlead.api.conditions import Reason
from fairlead.autoscaler import spec
from fairlead.autoscaler.observation import Phase
from fairlead.reconciler.decide import controller_of
from fairlead.reconciler.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, POD, Key
from fairlead.reconciler.pods import belongs, short_of, view
from fairlead.reconciler.words import UNFORESEEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fairlead.autoscaler.config import Config
    from fairlead.autoscaler.sharing import Pool
    from fairlead.reconciler.store import Store


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pod:
    """One replica, as Kubernetes tells of it."""

    name: str
    phase: Phase
    address: str
    unschedulable: str = ""
    """The scheduler's words, where no node takes it."""
    short: bool = False
    """No node takes it for want of its kind of GPU."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One ModelDeployment whose number of replicas is to be decided on."""

    key: Key
    uid: str
    autoscaling: Autoscaling
    config: Config
    asked: int
    """Replicas of the Deployment."""
    wanted: int
    """spec.replicas."""
    rolling: bool
    """Replicas are being replaced by others of a newer spec."""
    pods: tuple[Pod, ...]
    priority: int
    """Of its pods."""
    pool: Pool
    at_once: int | None
    """spec.engine.maxNumSeqs."""
    status: Mapping[str, Any]
    """status.autoscaling, or nothing yet."""


class Fleet:
    """Reads them from the store. What a spec says is read once for each generation."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._specs: dict[Key, tuple[tuple[str, int], _Settings]] = {}

    def subjects(self) -> Iterator[Subject]:
        """Each that is autoscaled by the operator, and has a Deployment."""
        keys = self._store.model_deployments()
        for gone in self._specs.keys() - set(keys):
            del self._specs[gone]
        for key in keys:
            try:
                found = self._subject(key)
            except Exception:
                # Not foreseen. It is as if it was not autoscaled: the number that it has stays, and the others go on.
                logger.exception(UNFORESEEN, extra={"key": str(key)})
                continue
            if found is not None:
                yield found

    def _subject(self, key: Key) -> Subject | None:
        live = self._store.get(MODEL_DEPLOYMENT, key.namespace, key.name)
        if live is None or "deletionTimestamp" in live["metadata"] or "autoscaling" not in live["spec"]:
            return None
        autoscaling, settings = self._autoscaling(key, live)
        deployment = self._store.get(DEPLOYMENT, key.namespace, key.name)
        uid = live["metadata"]["uid"]
        if autoscaling is None or settings is None or deployment is None or (controller_of(deployment) or {}).get("uid") != uid:
            return None
        owned = [pod for pod in self._store.owned(POD, key) if belongs(pod, key.name)]
        accelerator = live["spec"].get("accelerator") or {}
        resource = accelerator.get("resourceName", "")
        return Subject(
            key=key,
            uid=uid,
            autoscaling=autoscaling,
            config=settings,
            asked=deployment["spec"]["replicas"],
            wanted=live["spec"]["replicas"],
            rolling=_rolling(deployment),
            pods=tuple(_pods(owned, resource)),
            priority=max((pod["spec"].get("priority") or 0 for pod in owned), default=0),
            pool=(resource, frozenset((accelerator.get("nodeSelector") or {}).items())),
            at_once=(live["spec"].get("engine") or {}).get("maxNumSeqs"),
            status=(live.get("status") or {}).get("autoscaling") or {},
        )

    def _autoscaling(self, key: Key, live: Mapping[str, Any]) -> _Settings:
        of = (live["metadata"]["uid"], live["metadata"]["generation"])
        known = self._specs.get(key)
        if known is None or known[0] != of:
            known = (of, _read(live["spec"]["autoscaling"]))
            self._specs[key] = known
        return known[1]


_Settings = tuple[Autoscaling | None, "Config | None"]


def _read(said: Any) -> _Settings:
    """What the spec says, if the operator is to decide by it. What it cannot read the reconciler tells of."""
    try:
        autoscaling = Autoscaling.model_validate(said)
        if autoscaling.decides and autoscaling.max_replicas:
            return autoscaling, spec.config(autoscaling)
    except ValueError:  # pydantic's, and that of bounds which contradict each other
        pass
    return None, None


def _rolling(deployment: Mapping[str, Any]) -> bool:
    """Whether replicas of an older spec are still there, as far as the Deployment's controller has told."""
    seen = deployment.get("status") or {}
    return bool(seen.get("updatedReplicas", 0) < seen.get("replicas", 0))


def _pods(owned: list[Any], resource: str) -> Iterator[Pod]:
    for pod in owned:
        seen = view(pod)
        problem = seen.problem
        if problem is not None and problem.reason is Reason.POD_FAILED:
            continue  # another takes its place
        phase = Phase.TERMINATING if seen.terminating else Phase.READY if seen.ready else Phase.STARTING
        address = (pod.get("status") or {}).get("podIP", "")
        unschedulable = problem.message if problem is not None and problem.reason is Reason.UNSCHEDULABLE else ""
        yield Pod(seen.name, phase, address, unschedulable, short_of(seen, resource))
