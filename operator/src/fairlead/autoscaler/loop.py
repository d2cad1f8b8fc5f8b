"""The loop: every two seconds it reads all replicas, decides for each ModelDeployment, and has the reconciler act.

It writes nothing itself. A decision goes into the scales that the reconciler reads, and its ModelDeployment into the work queue:
the Deployment has one writer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from fairlead.autoscaler import limits, policy, report, sharing
from fairlead.autoscaler.load import duty
from fairlead.autoscaler.observation import Observation, Phase, Replica
from fairlead.autoscaler.place import Place
from fairlead.autoscaler.signals import NOTHING
from fairlead.reconciler.scaling import Scaled
from fairlead.reconciler.words import UNFORESEEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from fairlead.autoscaler.agents import Told
    from fairlead.autoscaler.fleet import Fleet, Subject
    from fairlead.autoscaler.memory import Memory
    from fairlead.autoscaler.policy import Decision
    from fairlead.autoscaler.record import Record
    from fairlead.autoscaler.report import Report
    from fairlead.autoscaler.signals import Signals
    from fairlead.reconciler.kinds import Key

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 2.0
"""As the agents look at their engines: more often there would be nothing new."""
BREATH = 50
"""Decisions in a row, 5 ms of CPU: then others on the event loop have their turn, the renewal of the Lease among them."""

_NAMED = 3
"""Replicas in a message, which is cut at its end: there it says why."""


class _Course(NamedTuple):
    """What is known of one ModelDeployment from look to look."""

    uid: str
    asked: int | None
    """Replicas that were asked for last, where that was the operator's doing."""
    memory: Memory
    report: Report | None
    short_since: float | None = None
    """Since when a replica of it waits for a GPU, without a break."""


class _Case(NamedTuple):
    """One ModelDeployment at one look."""

    subject: Subject
    course: _Course
    observation: Observation
    decision: Decision
    """The policy's, before what limits it."""


class Loop:
    """Decides for all ModelDeployments of one term of the leader."""

    def __init__(
        self,
        fleet: Fleet,
        signals: Signals,
        scales: dict[Key, Scaled],
        changed: Callable[[Key], None],
        record: Record,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        """Take the doors to the world, a monotonic clock to decide by and the wall clock for timestamps."""
        self._fleet = fleet
        self._signals = signals
        self._scales = scales
        self._changed = changed
        self._record = record
        self._clock = clock
        self._now = now
        self._courses: dict[Key, _Course] = {}

    async def run(self) -> None:
        """Tick until cancelled."""
        due = self._clock()
        while True:
            try:
                await self.tick()
            except Exception:
                # Not foreseen. All numbers stay as they are until a look succeeds.
                logger.exception(UNFORESEEN)
            due = max(due + PERIOD_SECONDS, self._clock())
            await asyncio.sleep(due - self._clock())

    async def tick(self) -> None:
        """One look at everything."""
        began = self._clock()
        subjects = list(self._fleet.subjects())
        self._forget({subject.key for subject in subjects})
        told = await self._signals.look(subjects)
        read = self._clock()
        cases = []
        for number, subject in enumerate(subjects, start=1):
            if case := self._case(subject, told):
                cases.append(case)
            if not number % BREATH:
                await asyncio.sleep(0)
        self._conclude(cases)
        self._record.ticked(read - began, self._clock() - read)

    def _forget(self, keys: set[Key]) -> None:
        for gone in self._courses.keys() - keys:
            del self._courses[gone]
            self._scales.pop(gone, None)
            self._record.forget(gone)

    def _case(self, subject: Subject, told: Mapping[Place, Told]) -> _Case | None:
        now = self._clock()
        try:
            course = self._courses.get(subject.key)
            if course is None or course.uid != subject.uid:
                course = _begun(subject)
            course = _with_short(course, subject, now)
            observation = _observation(subject, course, told, now)
            decision = policy.decide(observation, course.memory, subject.config)
        except Exception:
            # Not foreseen. The others must not stand still for it; this one's number stays.
            logger.exception(UNFORESEEN, extra={"key": str(subject.key)})
            return None
        return _Case(subject, course, observation, decision)

    def _conclude(self, cases: list[_Case]) -> None:
        """What is carried out, who has priority first: so it is first in the work queue, and then at the scheduler."""
        first = sharing.refused(wish for case in cases if (wish := _wish(case)))
        stamp = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        for case in sorted(cases, key=lambda case: -case.subject.priority):
            try:
                self._carry_out(case, first.get(case.subject.key), stamp)
            except Exception:
                # As above.
                logger.exception(UNFORESEEN, extra={"key": str(case.subject.key)})

    def _carry_out(self, case: _Case, first: sharing.Wish | None, stamp: str) -> None:
        subject, course, decision = case.subject, case.course, case.decision
        # Mostly there is nothing to limit, and a thousand of them are looked at every two seconds.
        if decision.replicas != case.observation.asked or [pod for pod in subject.pods if pod.unschedulable]:
            decision = limits.limited(decision, _facts(case, first), course.memory)
        sets = subject.autoscaling.mode == "Auto"
        memory = decision.memory if sets else limits.unmoved(decision.memory, course.memory)
        shown = report.shown(course.report, decision, case.observation.now, stamp, recommended=not sets)
        number = decision.replicas if sets else None
        self._courses[subject.key] = _Course(subject.uid, number, memory, shown, course.short_since)
        self._record.decided(subject.key, decision)
        known = self._scales.get(subject.key)
        if known is None or (known.uid, known.replicas) != (subject.uid, number) or known.status is not shown.status:
            verdict = report.verdict(shown.status, recommends=not sets)
            self._scales[subject.key] = Scaled(subject.uid, number, shown.status, verdict)
            self._changed(subject.key)


def _begun(subject: Subject) -> _Course:
    """With what an operator that takes over finds in the status."""
    status = report.readable(subject.status)
    return _Course(subject.uid, None, report.remembered(status), report.Report(status) if status else None)


def _with_short(course: _Course, subject: Subject, now: float) -> _Course:
    if not [pod for pod in subject.pods if pod.short]:
        return course if course.short_since is None else course._replace(short_since=None)
    return course if course.short_since is not None else course._replace(short_since=now)


def _observation(subject: Subject, course: _Course, told: Mapping[Place, Told], now: float) -> Observation:
    asked = subject.wanted
    if subject.autoscaling.mode == "Auto":
        asked = subject.asked if course.asked is None else course.asked
    replicas = []
    for pod in subject.pods:
        load = told.get(Place(subject.key.namespace, pod.name), NOTHING) if pod.phase is Phase.READY else NOTHING
        replicas.append(
            Replica(
                pod.name,
                pod.phase,
                load.running,
                load.waiting,
                load.tokens,
                load.kv_cache_percent,
                load.duty_cycle_percent,
                bool(pod.unschedulable),
            )
        )
    return Observation(now, asked, tuple(replicas), subject.at_once)


def _wish(case: _Case) -> sharing.Wish | None:
    """What it wants of its pool; None where it neither asks for more nor waits."""
    subject = case.subject
    raises = subject.autoscaling.mode == "Auto" and case.decision.replicas > case.observation.asked
    since = case.course.short_since
    short = since is not None and case.observation.now - since < sharing.PATIENCE_SECONDS
    return sharing.Wish(subject.key, subject.pool, subject.priority, raises, short) if raises or short else None


def _facts(case: _Case, first: sharing.Wish | None) -> limits.Facts:
    subject = case.subject
    return limits.Facts(
        asked=case.observation.asked,
        rolling=subject.rolling,
        unknown_duty=_unknown_duty(case),
        first=first,
        unschedulable=tuple((pod.name, pod.unschedulable) for pod in subject.pods if pod.unschedulable),
    )


def _unknown_duty(case: _Case) -> str:
    """Why the number of replicas must not go down for want of a duty cycle: one that was asked for, or that was there before."""
    autoscaling, observation, loads = case.subject.autoscaling, case.observation, case.decision.memory.loads
    everyone = autoscaling.prometheus is not None or autoscaling.duty_cycle_percent is not None
    unknown = [
        each
        for each in observation.replicas
        if each.phase is Phase.READY and duty(each, observation.now) is None and (everyone or loads[each.name].told_duty)
    ]
    if not unknown:
        return ""
    source = "Prometheus has told" if autoscaling.prometheus is not None else "there is"
    names = ", ".join(each.name for each in unknown[:_NAMED])
    more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
    why = next((f" ({told.why})" for each in unknown if (told := each.duty_cycle_percent) is not None and told.why), "")
    return f"{source} no duty cycle of {names}{more} lately{why}"
