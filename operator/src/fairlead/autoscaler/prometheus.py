"""The GPUs' duty cycle out of a Prometheus that scrapes them, where a ModelDeployment asks for it.

The address comes from the chart's values alone: no field of a ModelDeployment makes the operator open a URL. A ModelDeployment
names a metric, and of that only the series of its own pods are asked for.

Raw samples are asked for (a range), since what an instant query answers carries the time of the query: a value that nobody
scrapes any more would look fresh for five minutes.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.autoscaler.observation import Reading
from fairlead.autoscaler.place import Place
from fairlead.reconciler.words import bounded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fairlead.api.autoscaling import PrometheusMetric

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 10.0
"""Between two rounds. Exporters are scraped every 15 to 30 s."""
QUERY_SECONDS = 5
"""Longest that Prometheus may be silent while it is asked."""
RANGE = "2m"
"""Twice DUTY_STALE_SECONDS: what is older than that counts as missing, and the time between as stale."""
PODS_AT_ONCE = 50
"""In one query: their names make two kilobytes of a URL."""
DCGM = (("DCGM_FI_DEV_GPU_UTIL", 1.0), ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 100.0))
"""What NVIDIA's exporter calls it, and by what it makes percent. MIG slices have the second alone."""

Query = Callable[[str], Sequence[Mapping[str, Any]]]
"""Asks Prometheus, and blocks until it has answered."""
_NAME = re.compile("[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Labels:
    """By which labels of a series its pod is known: exporters and scrapers call them differently."""

    namespace: str = "namespace"
    pod: str = "pod"


def connect(url: str) -> Query:
    """A door to the Prometheus at that address."""
    # Only here: it brings 15 MB along, which an operator without Prometheus does not need.
    from prometheus_api_client import PrometheusConnect  # noqa: PLC0415
    from requests import Session  # noqa: PLC0415
    from urllib3.util.retry import Retry  # noqa: PLC0415

    session = Session()
    session.max_redirects = 0  # whoever answers at that address does not choose another one
    ask: Query = PrometheusConnect(url=url, retry=Retry(total=0), timeout=QUERY_SECONDS, session=session).custom_query
    return ask


def queries(metric: str, places: Iterable[Place], labels: Labels) -> list[str]:
    """What to ask for that metric of those pods."""
    known = sorted(each for each in places if _NAME.fullmatch(each.namespace) and _NAME.fullmatch(each.pod))
    made = []
    for first in range(0, len(known), PODS_AT_ONCE):
        some = known[first : first + PODS_AT_ONCE]
        namespaces = "|".join(sorted({each.namespace for each in some}))
        pods = "|".join(each.pod for each in some)
        made.append(f'{metric}{{{labels.namespace}=~"{namespaces}",{labels.pod}=~"{pods}"}}[{RANGE}]')
    return made


def last_samples(answer: Iterable[Mapping[str, Any]], labels: Labels) -> dict[Place, Reading]:
    """The newest sample of each pod, with its own time; of several series of a pod the mean, and the oldest time."""
    found: dict[Place, list[Reading]] = {}
    for series in answer:
        names, samples = series.get("metric") or {}, series.get("values") or []
        if samples and names.get(labels.namespace) and names.get(labels.pod):
            time, value = samples[-1]
            place = Place(names[labels.namespace], names[labels.pod])
            found.setdefault(place, []).append(Reading(_number(value), float(time)))
    return {
        place: Reading(sum(each.value for each in some) / len(some), min(each.time for each in some))
        for place, some in found.items()
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
        self._wanted: dict[str, set[Place]] = {}
        self._told: dict[str, dict[Place, Reading]] = {}
        self._said = ""

    def want(self, wanted: Iterable[tuple[Place, PrometheusMetric]]) -> None:
        """The pods that are asked about from the next round on, each with its metric."""
        self._wanted = {}
        for place, metric in wanted:
            for name, _ in _metrics(metric):
                self._wanted.setdefault(name, set()).add(place)

    def reading(self, place: Place, metric: PrometheusMetric) -> Reading | None:
        """The duty cycle in percent, as it was told last."""
        for name, factor in _metrics(metric):
            found = self._told.get(name, {}).get(place)
            if found is not None:
                return Reading(found.value * factor, found.time)
        return None

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(PERIOD_SECONDS)

    async def round(self) -> None:
        """Ask for everything that is wanted once."""
        problem = ""
        for metric, places in list(self._wanted.items()):
            try:
                self._told[metric] = await self._ask(metric, places)
            except Exception as error:  # noqa: BLE001  whatever the library or the answer's form brings: nothing new is known
                problem = bounded(f"{type(error).__name__}: {error}")
        self._told = {metric: told for metric, told in self._told.items() if metric in self._wanted}
        if problem != self._said:
            self._said = problem
            logger.warning("Prometheus does not answer: %s", problem) if problem else logger.info("Prometheus answers")

    async def _ask(self, metric: str, places: Iterable[Place]) -> dict[Place, Reading]:
        answers = [await asyncio.to_thread(self._query, each) for each in queries(metric, places, self._labels)]
        # From the wall clock of Prometheus to this process's own.
        behind = self._clock() - self._wall()
        found = last_samples(itertools.chain.from_iterable(answers), self._labels)
        return {place: Reading(each.value, each.time + behind) for place, each in found.items()}


def _metrics(metric: PrometheusMetric) -> Sequence[tuple[str, float]]:
    """Names, the first that has a value counts, and by what it makes percent."""
    if metric.metric is None:
        return DCGM
    return ((metric.metric, 100.0 if metric.unit == "Ratio" else 1.0),)
