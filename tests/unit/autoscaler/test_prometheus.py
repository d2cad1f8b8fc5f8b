"""Prometheus as a source: what is asked, what its answers mean, and what is known when it is gone."""

import asyncio
import math
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fairlead.api.autoscaling import PrometheusMetric
from fairlead.autoscaler import prometheus
from fairlead.autoscaler.observation import Quality, Reading, quality
from fairlead.autoscaler.place import Place
from fairlead.autoscaler.prometheus import Labels, Prometheus, Question, UnansweredError, promql, questions, readings

A, B, OTHER = Place("team", "chat-1"), Place("team", "chat-2"), Place("zoo", "chat-1")
LABELS = Labels()
WALL = 1_700_000_000.0
DCGM = PrometheusMetric()
OWN = PrometheusMetric(metric="busy_ratio", unit="Ratio")
UTIL, ACTIVE = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"


def part(place: Place, name: str, value: object) -> Mapping[str, Any]:
    return {"metric": {"namespace": place.namespace, "pod": place.pod, "fairlead": name}, "value": [WALL, value]}


def series(place: Place, time: float, value: object) -> list[Mapping[str, Any]]:
    return [part(place, "value", value), part(place, "time", str(time))]


def test_only_the_pods_own_series_are_asked_for() -> None:
    asked = promql(Question("M", [A, B]), Labels("exported_namespace", "exported_pod"))
    assert asked == (
        'label_replace(avg by (exported_namespace, exported_pod) (M{exported_namespace="team",exported_pod=~"chat-1|chat-2"}), '
        '"fairlead", "value", "", "") or label_replace(min by (exported_namespace, exported_pod) '
        '(timestamp(M{exported_namespace="team",exported_pod=~"chat-1|chat-2"})), "fairlead", "time", "", "")'
    )
    assert questions([("M", Place("team", 'x"} or up{pod="y'))]) == [], "no name can end the matcher"


def test_metrics_and_namespaces_are_asked_for_by_themselves() -> None:
    wanted = [("N", A), ("M", OTHER), ("M", B), ("M", A)]
    assert questions(wanted) == [Question("M", [A, B]), Question("M", [OTHER]), Question("N", [A])]


def test_many_pods_are_asked_for_in_turns() -> None:
    asked = questions(("M", Place("ns", f"{number:063}")) for number in range(60))
    assert [len(each.places) for each in asked] == [25, 25, 10]
    assert all(len(promql(each, LABELS).replace("|", "%7C")) < 4000 for each in asked)


def test_a_value_counts_with_its_samples_own_time() -> None:
    found = readings([*series(A, WALL - 15, "20"), *series(B, WALL - 1, "NaN")], LABELS)
    assert found[A] == Reading(20, WALL - 15)
    assert math.isnan(found[B].value)
    assert readings(series(A, WALL, "20")[:1], LABELS) == {}, "it may be of any time"


@pytest.mark.parametrize(
    "broken", [{}, {"metric": {}}, {"metric": {"pod": "x"}, "value": [1, "2"]}, {"metric": {"namespace": "n", "pod": "p"}}]
)
def test_a_series_without_pod_or_sample_is_left_out(broken: Mapping[str, Any]) -> None:
    assert readings([broken], LABELS) == {}


class Asked:
    """A Prometheus that answers what the test says."""

    def __init__(self) -> None:
        self.answers: dict[str, Sequence[Mapping[str, Any]]] = {}
        self.fails: Exception | None = None
        self.failing = ""
        """Queries with this in them."""
        self.hangs = ""
        self.hung = threading.Event()
        self.seen: list[str] = []
        self.mono, self.wall = 50.0, WALL

    def __call__(self, query: str) -> Sequence[Mapping[str, Any]]:
        found = re.search(r"\((\w+)\{", query)
        assert found is not None
        self.seen.append(found[1])
        if self.hangs and self.hangs in query:
            self.hung.wait(10)
        if self.fails and self.failing in query:
            raise self.fails
        return self.answers.get(found[1], [])

    def source(self, *wanted: tuple[Place, PrometheusMetric]) -> Prometheus:
        made = Prometheus(self, LABELS, clock=lambda: self.mono, wall=lambda: self.wall)
        made.want(wanted)
        return made


def why(source: Prometheus, place: Place, metric: PrometheusMetric) -> str:
    """Why it is no number; empty: it is one."""
    told = source.reading(place, metric)
    assert told is not None
    assert math.isnan(told.value) == bool(told.why)
    return told.why


async def test_readings_are_told_by_the_loops_own_clock() -> None:
    asked = Asked()
    asked.answers[UTIL] = series(A, WALL - 20, "35")
    source = asked.source((A, DCGM))
    assert source.reading(A, DCGM) is None, "nothing was asked yet"
    await source.round()
    assert source.reading(A, DCGM) == Reading(35, 30.0)
    assert source.reading(B, DCGM) is None


async def test_under_mig_the_other_metric_counts() -> None:
    asked = Asked()
    asked.answers[ACTIVE] = [*series(A, WALL, "0.35"), *series(B, WALL, "0.9")]
    asked.answers[UTIL] = series(B, WALL, "11")
    source = asked.source((A, DCGM), (B, DCGM))
    await source.round()
    assert source.reading(A, DCGM) == Reading(35, 50.0)
    assert source.reading(B, DCGM) == Reading(11, 50.0)


@pytest.mark.parametrize(
    ("metric", "told", "percent"),
    [
        (PrometheusMetric(metric=ACTIVE), "0.75", 75),
        (PrometheusMetric(metric=UTIL), "75", 75),
        (PrometheusMetric(metric=ACTIVE, unit="Ratio"), "0.75", 75),
        (PrometheusMetric(metric="busy"), "75", 75),
        (PrometheusMetric(metric="busy", unit="Ratio"), "0.75", 75),
    ],
)
async def test_the_unit_of_nvidias_own_metrics_is_known(metric: PrometheusMetric, told: str, percent: float) -> None:
    asked = Asked()
    asked.answers[metric.metric or ""] = series(A, WALL, told)
    source = asked.source((A, metric))
    await source.round()
    assert source.reading(A, metric) == Reading(percent, 50.0)


async def test_who_does_not_ask_any_more_is_not_asked_about() -> None:
    asked = Asked()
    asked.answers["busy_ratio"] = series(A, WALL, "0.5")
    source = asked.source((A, OWN))
    await source.round()
    assert (source.reading(A, OWN), source.reading(A, DCGM)) == (Reading(50, 50.0), None)
    source.want([])
    asked.seen.clear()
    await source.round()
    assert (asked.seen, source.reading(A, OWN)) == ([], None)


async def test_a_pod_that_is_not_told_of_any_more_has_none() -> None:
    asked = Asked()
    asked.answers["busy_ratio"] = [*series(A, WALL, "0.5"), *series(OTHER, WALL, "0.5")]
    source = asked.source((A, OWN))
    await source.round()
    assert source.reading(OTHER, OWN) is None, "nobody asked for it"
    asked.answers["busy_ratio"] = []
    await source.round()
    assert why(source, A, OWN) == "it has no busy_ratio that names the replica by the labels namespace and pod"


async def test_one_that_does_not_answer_leaves_what_it_told_to_become_stale(caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked()
    asked.answers["busy_ratio"] = series(A, WALL, "0.5")
    source = asked.source((A, OWN))
    await source.round()
    asked.fails = UnansweredError("it cannot be reached", "10.0.0.1: refused")
    asked.mono, asked.wall = 120.0, WALL + 70
    await source.round()
    asked.fails = UnansweredError("it cannot be reached", "10.0.0.2: refused")
    await source.round()
    reading = source.reading(A, OWN)
    assert reading == Reading(50, 50.0, "it cannot be reached"), "an address is not for tenants"
    assert quality(reading, asked.mono, 60.0) is Quality.STALE
    assert [each.message for each in caplog.records] == ["Prometheus does not answer: it cannot be reached: 10.0.0.1: refused"]
    asked.fails = None
    await source.round()
    assert source.reading(A, OWN) == Reading(50, 50.0), "its sample has the time that it had"


@pytest.mark.parametrize("failing", ["busy_ratio", 'namespace="zoo"', "|a-24"], ids=["a metric", "a namespace", "a part"])
async def test_what_is_not_answered_takes_nothing_from_the_others(failing: str) -> None:
    asked = Asked()
    many = [Place("a", f"a-{number:02}") for number in range(30)]
    asked.answers[UTIL] = [each for place in (A, OTHER, *many) for each in series(place, WALL, "35")]
    asked.answers["busy_ratio"] = series(A, WALL, "0.5")
    asked.fails, asked.failing = UnansweredError("no"), failing
    wanted = [(A, DCGM), (OTHER, DCGM), (A, OWN), *((each, DCGM) for each in many)]
    source = asked.source(*wanted)
    await source.round()
    lost = {"busy_ratio": [(A, OWN)], 'namespace="zoo"': [(OTHER, DCGM)], "|a-24": [(each, DCGM) for each in many[:25]]}[failing]
    assert [each for each in wanted if why(source, *each)] == lost


async def test_those_that_hang_are_asked_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than may be asked at once, and in front of the one that answers."""
    monkeypatch.setattr(prometheus, "ROUND_SECONDS", 0.3)
    asked = Asked()
    asked.hangs = "slow"
    asked.fails, asked.failing = UnansweredError("too slow"), "slow"
    slow = [(A, PrometheusMetric(metric=f"a_slow_{number}")) for number in range(2 * prometheus.AT_ONCE)]
    asked.answers["busy_ratio"] = series(A, WALL, "0.5")
    source = asked.source(*slow, (A, OWN))
    await source.round()
    assert source.reading(A, OWN) is None, "all threads wait"
    asked.hangs = ""
    asked.hung.set()
    async with asyncio.timeout(10):
        while source.reading(A, OWN) is None:
            await source.round()
    asked.hangs = "slow"
    asked.hung.clear()
    asked.mono += 10
    asked.answers["busy_ratio"] = series(A, WALL, "0.6")
    await source.round()
    assert source.reading(A, OWN) == Reading(60, 60.0), "before those that failed"
    asked.hung.set()


async def test_the_end_of_a_term_ends_its_threads() -> None:
    asked = Asked()
    source = asked.source((A, OWN))
    term = asyncio.create_task(source.run())
    async with asyncio.timeout(10):
        while not asked.seen:  # noqa: ASYNC110  the thread knows no event of this loop
            await asyncio.sleep(0)
    term.cancel()
    with pytest.raises(asyncio.CancelledError):
        await term
    assert source._threads._shutdown


GARBAGE: dict[str, Any] = {
    "a text": "nonsense",
    "nothing": None,
    "a number": 7,
    "series that are none": [7],
    "labels that are none": [{"metric": 7, "value": [WALL, "1"]}],
    "a label that is none": [{"metric": {"namespace": "team", "pod": ["chat-1"]}, "value": [WALL, "1"]}],
    "a sample that is none": [{"metric": {"namespace": "team", "pod": "chat-1"}, "value": 7}],
    "a sample without a value": [{"metric": {"namespace": "team", "pod": "chat-1"}, "value": [7]}],
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
async def test_an_answer_of_another_form_is_no_answer(answer: Any) -> None:
    asked = Asked()
    asked.answers["busy_ratio"] = answer
    asked.answers[UTIL] = series(A, WALL, "35")
    source = asked.source((A, OWN), (A, DCGM))
    await source.round()
    assert why(source, A, OWN) == "its answer cannot be read"
    assert source.reading(A, DCGM) == Reading(35, 50.0), "what is asked besides is not lost by it"


async def test_the_samples_of_a_range_are_no_answer() -> None:
    asked = Asked()
    asked.answers["busy_ratio"] = [{"metric": {"namespace": "team", "pod": "chat-1"}, "values": [[WALL, "1"]]}]
    source = asked.source((A, OWN))
    await source.round()
    assert why(source, A, OWN)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "1.02", "97", "many", None, {}])
async def test_a_sample_that_is_no_share_is_invalid(value: Any) -> None:
    asked = Asked()
    asked.answers["busy_ratio"] = series(A, WALL, value)
    source = asked.source((A, OWN))
    await source.round()
    assert quality(source.reading(A, OWN), 50.0, 60.0) is Quality.INVALID
    assert why(source, A, OWN) == "what it tells is no number from 0 to 100 percent"


async def test_a_little_over_a_hundred_percent_is_rounding() -> None:
    asked = Asked()
    asked.answers["busy_ratio"] = series(A, WALL, "1.005")
    source = asked.source((A, OWN))
    await source.round()
    assert quality(source.reading(A, OWN), 50.0, 60.0) is Quality.FRESH


@pytest.mark.parametrize("off", [-60.0, 70.0])
async def test_a_wall_clock_that_is_off_makes_numbers_stale_and_not_fresh(off: float) -> None:
    """The operator's was set, or Prometheus' is another: what was sampled just now is of another time, and holds."""
    asked = Asked()
    asked.answers["busy_ratio"] = series(A, WALL, "0.5")
    asked.wall = WALL + off
    source = asked.source((A, OWN))
    await source.round()
    assert quality(source.reading(A, OWN), asked.mono, 60.0) is Quality.STALE


async def test_what_an_error_says_is_told_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked()
    asked.fails = RuntimeError("<html>\n" * 100_000)
    source = asked.source((A, OWN))
    await source.round()
    assert len(caplog.records[0].getMessage()) < 500
    assert why(source, A, OWN) == "its answer cannot be read"
