"""What a case of the policy is, and the replicas that several cases have."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fairlead.autoscaler.observation import Observation, Phase, Reading, Replica
from tests.unit.autoscaler.cases import CONFIG, busy

if TYPE_CHECKING:
    from fairlead.autoscaler.config import Config
    from fairlead.autoscaler.memory import Memory
    from fairlead.autoscaler.reasons import Reason

STARTING = Replica("replica-8", Phase.STARTING)
TERMINATING = Replica("replica-7", Phase.TERMINATING)
FULL = [busy(f"replica-{index}", 0.9) for index in range(2)]
QUIET = [busy(f"replica-{index}", 0.1) for index in range(3)]
DUTY = replace(CONFIG, duty_cycle_percent=80)


@dataclass(frozen=True)
class Case:
    name: str
    observed: Observation
    remembered: Memory
    replicas: int
    reason: Reason
    says: str
    config: Config = field(default=CONFIG)


def aged(replica: Replica, seconds: float) -> Replica:
    """As it was told so many seconds ago."""
    return replace(
        replica,
        running=_at(replica.running, -seconds),
        waiting=_at(replica.waiting, -seconds),
        tokens=_at(replica.tokens, -seconds),
        kv_cache_percent=_at(replica.kv_cache_percent, -seconds),
        duty_cycle_percent=_at(replica.duty_cycle_percent, -seconds),
    )


def _at(reading: Reading | None, seconds: float) -> Reading | None:
    return None if reading is None else Reading(reading.value, reading.time + seconds)
