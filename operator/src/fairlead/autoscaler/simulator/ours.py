"""Fairlead's own policy, asked as the operator asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.autoscaler.memory import Memory
from fairlead.autoscaler.observation import Observation, Phase, Reading, Replica
from fairlead.autoscaler.policy import decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairlead.autoscaler.config import Config
    from fairlead.autoscaler.policy import Decision
    from fairlead.autoscaler.simulator.fleet import Pod, View

_PHASES = {"starting": Phase.STARTING, "ready": Phase.READY, "draining": Phase.TERMINATING}


class Fairlead:
    """Every look, with an empty memory at the beginning."""

    def __init__(
        self, config: Config, decided: Callable[[Decision], None] = lambda _: None, *, at_once: int | None = None
    ) -> None:
        """Take the configuration, who is told each decision, and spec.engine.maxNumSeqs."""
        self._config, self._at_once = config, at_once
        self._memory = Memory()
        self._decided = decided

    def decide(self, view: View) -> int:
        """Ask."""
        replicas = tuple(_replica(pod, view.now) for pod in view.pods)
        decision = decide(Observation(view.now, view.target, replicas, self._at_once), self._memory, self._config)
        self._memory = decision.memory
        self._decided(decision)
        return decision.replicas


def _replica(pod: Pod, now: float) -> Replica:
    name = f"replica-{pod.number}"
    if pod.state != "ready":
        return Replica(name, _PHASES[pod.state])

    def reading(value: float) -> Reading:
        return Reading(value, now)

    return Replica(
        name,
        Phase.READY,
        running=reading(pod.running),
        waiting=reading(pod.waiting),
        tokens=reading(pod.tokens),
        kv_cache_percent=reading(100 * pod.kv),
        duty_cycle_percent=reading(100 * pod.duty),
    )
