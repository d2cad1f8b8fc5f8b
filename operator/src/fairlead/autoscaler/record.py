"""What the loop has decided, kept for the metrics: the last decision of each ModelDeployment, and counts of all."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fairlead.autoscaler.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from fairlead.autoscaler.policy import Decision
    from fairlead.reconciler.kinds import Key


class Record:
    """Written by the loop of the present term."""

    def __init__(self, ticked: Callable[[float, float], None] = lambda _read, _decided: None) -> None:
        """Take what to call after each look, with the seconds that reading and deciding took."""
        self.ticked = ticked
        self.latest: dict[Key, Decision] = {}
        self.reasons: Counter[tuple[Key, Reason]] = Counter()
        """Looks, by how they ended: the vetoes among them."""

    def decided(self, key: Key, decision: Decision) -> None:
        """Note one."""
        self.latest[key] = decision
        self.reasons[key, decision.reason] += 1

    def forget(self, key: Key) -> None:
        """It is gone, or no longer autoscaled."""
        self.latest.pop(key, None)
        for reason in Reason:
            self.reasons.pop((key, reason), None)

    def clear(self) -> None:
        """The term is over: another operator decides."""
        self.latest.clear()
        self.reasons.clear()
