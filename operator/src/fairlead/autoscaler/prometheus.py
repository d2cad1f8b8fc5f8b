"""The GPUs' duty cycle out of a Prometheus that scrapes them, where a ModelDeployment asks for it.

The address comes from the chart's values alone: no field of a ModelDeployment makes the operator open a URL. A ModelDeployment
names a metric, and of that only the series of its own pods are asked for.

Prometheus makes one of a pod's series, however many it has. The samples' own times are asked for as well, since what an instant
query answers carries the time of the query: a value that nobody scrapes any more would look fresh for five minutes.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fairlead.autoscaler.observation import MOST_DUTY_PERCENT, Reading
from fairlead.autoscaler.place import Place
from fairlead.reconciler.words import bounded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fairlead.api.autoscaling import PrometheusMetric

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 10.0
"""Between two rounds. Exporters are scraped every 15 to 30 s."""
ROUND_SECONDS = 20.0
"""Longest that a round takes, so that what is answered is asked for twice before it is stale, after 60 s. One takes 5 ms."""
AT_ONCE = 4
"""Questions: one that takes its 5 s does not hold up the others."""
PODS_AT_ONCE = 25
"""In one question, which has their names twice: at 63 characters each they make less than four kilobytes of a URL."""
DCGM = {"DCGM_FI_DEV_GPU_UTIL": 1.0, "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 100.0}
"""What NVIDIA's exporter calls it, and by what it makes percent. MIG slices have the second alone."""
PART = "fairlead"
"""The label by which values and times are told apart in one answer."""

Query = Callable[[str], Sequence[Mapping[str, Any]]]
"""Asks Prometheus, and blocks until it has answered."""
_NAME = re.compile("[a-z0-9]([a-z0-9-]*[a-z0-9])?")


class UnansweredError(Exception):
    """Why there is no answer, in words that any tenant may read."""

    def __init__(self, words: str, detail: str = "") -> None:
        """Take what goes into the log as well, and nowhere else."""
        super().__init__(words)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Labels:
    """By which labels of a series its pod is known: exporters and scrapers call them differently."""

    namespace: str = "namespace"
    pod: str = "pod"


class Question(NamedTuple):
    """One metric of some pods of one namespace: what a tenant's metric does to an answer is that tenant's alone."""

    metric: str
    places: Sequence[Place]


class Known(NamedTuple):
    """What is known of one metric of one pod."""

    reading: Reading | None = None
    problem: str = ""
    """Why the last question was not answered."""
    asked: float = -math.inf
    """When that was."""


def connect(url: str) -> Query:
    """A door to the Prometheus at that address."""
    from fairlead.autoscaler import door  # noqa: PLC0415  what it imports is large

    return door.connect(url)


def questions(wanted: Iterable[tuple[str, Place]]) -> list[Question]:
    """What to ask for those metrics of those pods."""
    groups: dict[tuple[str, str], list[Place]] = {}
    for metric, place in sorted(wanted):
        if _NAME.fullmatch(place.namespace) and _NAME.fullmatch(place.pod):
            groups.setdefault((metric, place.namespace), []).append(place)
    return [
        Question(metric, places[first : first + PODS_AT_ONCE])
        for (metric, _), places in groups.items()
        for first in range(0, len(places), PODS_AT_ONCE)
    ]


def promql(question: Question, labels: Labels) -> str:
    """The question as Prometheus takes it: of each pod's series the mean, and the time of the oldest sample."""
    metric, places = question
    pods = "|".join(each.pod for each in places)
    series = f'{metric}{{{labels.namespace}="{places[0].namespace}",{labels.pod}=~"{pods}"}}'
    by = f"by ({labels.namespace}, {labels.pod})"
    value, time = f"avg {by} ({series})", f"min {by} (timestamp({series}))"
    return f'label_replace({value}, "{PART}", "value", "", "") or label_replace({time}, "{PART}", "time", "", "")'


def readings(answer: Iterable[Mapping[str, Any]], labels: Labels) -> dict[Place, Reading]:
    """The duty cycle of each pod with its own time, out of an answer to `promql`."""
    parts: dict[tuple[Place, str], float] = {}
    for series in answer:
        names, sample = series.get("metric") or {}, series.get("value")
        if sample and names.get(labels.namespace) and names.get(labels.pod):
            parts[Place(names[labels.namespace], names[labels.pod]), names.get(PART, "")] = _number(sample[1])
    return {
        place: Reading(value, parts[place, "time"])
        for (place, part), value in parts.items()
        if part == "value" and (place, "time") in parts
    }


def _number(text: Any) -> float:
    """Prometheus writes numbers as text, NaN and +Inf among them."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


class Prometheus:
    """Asks in rounds of its own, so that a slow one holds nothing up; what it has told last becomes stale by itself."""

    def __init__(self, query: Query, labels: Labels, *, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        """Take the clock that readings are timed by, and the wall clock (seconds since 1970), which Prometheus' samples have."""
        self._query = query
        self._labels = labels
        self._clock = clock
        self._wall = wall
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="prometheus")
        self._wanted: set[tuple[str, Place]] = set()
        self._known: dict[tuple[str, Place], Known] = {}
        self._said = ""

    def want(self, wanted: Iterable[tuple[Place, PrometheusMetric]]) -> None:
        """The pods that are asked about from the next round on, each with its metric."""
        self._wanted = {(name, place) for place, metric in wanted for name in _factors(metric)}

    def reading(self, place: Place, metric: PrometheusMetric) -> Reading | None:
        """The duty cycle in percent as it was told last; no number, and why, where there is none. None: nobody asked yet."""
        known = [(self._of(name, place), factor) for name, factor in _factors(metric).items()]
        problem = next((each.problem for each, _ in known if each.problem), "")
        for each, factor in known:
            if each.reading is not None:
                percent = each.reading.value * factor
                if 0 <= percent <= MOST_DUTY_PERCENT:
                    return Reading(percent, each.reading.time, problem)
                return Reading(math.nan, each.reading.time, problem or "what it tells is no number from 0 to 100 percent")
        asked = min(each.asked for each, _ in known)
        if problem or asked > -math.inf:
            return Reading(math.nan, asked, problem or self._no_series(metric))
        return None

    def _no_series(self, metric: PrometheusMetric) -> str:
        names, labels = " and no ".join(_factors(metric)), self._labels
        return f"it has no {names} that names the replica by the labels {labels.namespace} and {labels.pod}"

    def _of(self, name: str, place: Place) -> Known:
        return self._known.get((name, place), _UNKNOWN)

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                await self.round()
                await asyncio.sleep(PERIOD_SECONDS)
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def round(self) -> None:
        """Ask for everything that is wanted once, as far as there is time."""
        problems: dict[str, str] = {}
        # Those that were not answered come last, so that slow ones do not keep the others from being asked in time.
        turns = sorted(questions(self._wanted), key=self._turn)
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                await asyncio.gather(*(self._ask(each, problems) for each in turns))
        except TimeoutError:
            pass
        self._known = {each: known for each, known in self._known.items() if each in self._wanted}
        said = "; ".join(sorted(problems))
        if said != self._said:
            # Without the details, which may be others each time.
            self._said = said
            told = bounded("; ".join(f"{each}: {detail}" if detail else each for each, detail in sorted(problems.items())))
            logger.warning("Prometheus does not answer: %s", told) if said else logger.info("Prometheus answers")

    def _turn(self, question: Question) -> tuple[bool, float]:
        known = [self._of(question.metric, each) for each in question.places]
        return any(each.problem for each in known), min(each.asked for each in known)

    async def _ask(self, question: Question, problems: dict[str, str]) -> None:
        asked, problem, found = self._clock(), "", {}
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, self._query, promql(question, self._labels))
            found = readings(await running, self._labels)
        except UnansweredError as error:
            problem = str(error)
            problems.setdefault(problem, error.detail)
        except Exception as error:  # noqa: BLE001  whatever the library or the answer's form brings: nothing new is known
            problem = "its answer cannot be read"
            problems.setdefault(problem, bounded(f"{type(error).__name__}: {error}"))
        # From the wall clock of Prometheus to this process's own.
        behind = self._clock() - self._wall()
        for place in question.places:
            key, reading = (question.metric, place), found.get(place)
            if problem:
                reading = self._of(*key).reading
            elif reading is not None:
                reading = Reading(reading.value, reading.time + behind)
            self._known[key] = Known(reading, problem, asked)


_UNKNOWN = Known()


def _factors(metric: PrometheusMetric) -> Mapping[str, float]:
    """Names, the first that has a value counts, and by what it makes percent."""
    if metric.metric is None:
        return DCGM
    # The API server writes Percent where nothing was written: of NVIDIA's own it is known what they are.
    return {metric.metric: 100.0 if metric.unit == "Ratio" else DCGM.get(metric.metric, 1.0)}
