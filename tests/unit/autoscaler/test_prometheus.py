"""Prometheus as a source: what is asked, what its answers mean, and what is known when it is gone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fairlead.api.autoscaling import PrometheusMetric
from fairlead.autoscaler.observation import Quality, Reading, quality
from fairlead.autoscaler.place import Place
from fairlead.autoscaler.prometheus import Labels, Prometheus, last_samples, queries

A, B = Place("team", "chat-1"), Place("team", "chat-2")
LABELS = Labels()
WALL = 1_700_000_000.0
DCGM = PrometheusMetric()
OWN = PrometheusMetric(metric="busy_ratio", unit="Ratio")


def series(place: Place, *values: tuple[float, str], **labels: str) -> Mapping[str, Any]:
    return {"metric": {"namespace": place.namespace, "pod": place.pod, **labels}, "values": [list(each) for each in values]}


def test_only_the_pods_own_series_are_asked_for() -> None:
    assert queries("M", [B, A], LABELS) == ['M{namespace=~"team",pod=~"chat-1|chat-2"}[2m]']
    exported = Labels("exported_namespace", "exported_pod")
    assert queries("M", [A], exported) == ['M{exported_namespace=~"team",exported_pod=~"chat-1"}[2m]']
    assert queries("M", [Place("team", 'x"} or up{pod="y')], LABELS) == [], "no name can end the matcher"


def test_many_pods_are_asked_for_in_turns() -> None:
    asked = queries("M", [Place("ns", f"pod-{number}") for number in range(120)], LABELS)
    assert len(asked) == 3
    assert all(len(each) < 2500 for each in asked)


def test_the_newest_sample_counts_with_its_own_time() -> None:
    answer = [series(A, (WALL - 30, "10"), (WALL - 15, "20")), series(B, (WALL - 1, "NaN"))]
    found = last_samples(answer, LABELS)
    assert found[A] == Reading(20, WALL - 15)
    assert math.isnan(found[B].value)


def test_several_gpus_of_a_pod_are_averaged_and_as_old_as_the_oldest() -> None:
    answer = [series(A, (WALL - 5, "20"), gpu="0"), series(A, (WALL - 40, "60"), gpu="1")]
    assert last_samples(answer, LABELS) == {A: Reading(40, WALL - 40)}
    answer = [series(A, (WALL - 5, "20"), gpu="0"), series(A, (WALL - 5, "NaN"), gpu="1")]
    assert quality(last_samples(answer, LABELS)[A], WALL, 60) is Quality.INVALID, "a part is no whole"


@pytest.mark.parametrize(
    "broken", [{}, {"metric": {}}, {"metric": {"pod": "x"}, "values": [[1, "2"]]}, {"metric": {"namespace": "n", "pod": "p"}}]
)
def test_a_series_without_pod_or_samples_is_left_out(broken: Mapping[str, Any]) -> None:
    assert last_samples([broken], LABELS) == {}


class Asked:
    """A Prometheus that answers what the test says."""

    def __init__(self) -> None:
        self.answers: dict[str, Sequence[Mapping[str, Any]]] = {}
        self.fails: Exception | None = None
        self.seen: list[str] = []
        self.mono, self.wall = 50.0, WALL

    def __call__(self, query: str) -> Sequence[Mapping[str, Any]]:
        self.seen.append(query.partition("{")[0])
        if self.fails:
            raise self.fails
        return self.answers.get(self.seen[-1], [])

    def source(self) -> Prometheus:
        return Prometheus(self, LABELS, clock=lambda: self.mono, wall=lambda: self.wall)


async def test_readings_are_told_by_the_loops_own_clock() -> None:
    asked = Asked()
    asked.answers["DCGM_FI_DEV_GPU_UTIL"] = [series(A, (WALL - 20, "35"))]
    source = asked.source()
    source.want([(A, DCGM)])
    assert source.reading(A, DCGM) is None, "nothing was asked yet"
    await source.round()
    assert source.reading(A, DCGM) == Reading(35, 30.0)
    assert source.reading(B, DCGM) is None


async def test_under_mig_the_other_metric_counts() -> None:
    asked = Asked()
    asked.answers["DCGM_FI_PROF_GR_ENGINE_ACTIVE"] = [series(A, (WALL, "0.35")), series(B, (WALL, "0.9"))]
    asked.answers["DCGM_FI_DEV_GPU_UTIL"] = [series(B, (WALL, "11"))]
    source = asked.source()
    source.want([(A, DCGM), (B, DCGM)])
    await source.round()
    assert source.reading(A, DCGM) == Reading(35, 50.0)
    assert source.reading(B, DCGM) == Reading(11, 50.0)


async def test_a_metric_of_ones_own() -> None:
    asked = Asked()
    asked.answers["busy_ratio"] = [series(A, (WALL, "0.5"))]
    source = asked.source()
    source.want([(A, OWN)])
    await source.round()
    assert (source.reading(A, OWN), source.reading(A, DCGM)) == (Reading(50, 50.0), None)
    source.want([])
    asked.seen.clear()
    await source.round()
    assert (asked.seen, source.reading(A, OWN)) == ([], None), "who does not ask any more is not asked about"


async def test_one_that_does_not_answer_leaves_what_it_told_to_become_stale(caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked()
    asked.answers["busy_ratio"] = [series(A, (WALL, "0.5"))]
    source = asked.source()
    source.want([(A, OWN)])
    await source.round()
    asked.fails = ConnectionError("refused")
    asked.mono, asked.wall = 120.0, WALL + 70
    await source.round()
    await source.round()
    reading = source.reading(A, OWN)
    assert reading == Reading(50, 50.0)
    assert quality(reading, asked.mono, 60.0) is Quality.STALE
    assert [each.message for each in caplog.records] == ["Prometheus does not answer: ConnectionError: refused"], "told once"


GARBAGE: dict[str, Any] = {
    "a text": "nonsense",
    "nothing": None,
    "a number": 7,
    "series that are none": [7],
    "labels that are none": [{"metric": 7, "values": [[WALL, "1"]]}],
    "a label that is none": [{"metric": {"namespace": "team", "pod": ["chat-1"]}, "values": [[WALL, "1"]]}],
    "samples that are none": [{"metric": {"namespace": "team", "pod": "chat-1"}, "values": ["nonsense"]}],
    "a time that is none": [{"metric": {"namespace": "team", "pod": "chat-1"}, "values": [["soon", "1"]]}],
    "an instant's answer": [{"metric": {"namespace": "team", "pod": "chat-1"}, "value": [WALL, "1"]}],
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
async def test_an_answer_of_another_form_is_no_answer(answer: Any) -> None:
    asked = Asked()
    asked.answers["busy_ratio"] = answer
    asked.answers["DCGM_FI_DEV_GPU_UTIL"] = [series(A, (WALL, "35"))]
    source = asked.source()
    source.want([(A, OWN), (A, DCGM)])
    await source.round()
    assert source.reading(A, OWN) is None
    assert source.reading(A, DCGM) == Reading(35, 50.0), "what is asked besides is not lost by it"


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "many", None, {}])
async def test_a_sample_that_is_no_number_is_invalid(value: Any) -> None:
    asked = Asked()
    asked.answers["busy_ratio"] = [series(A, (WALL, value))]
    source = asked.source()
    source.want([(A, OWN)])
    await source.round()
    assert quality(source.reading(A, OWN), 50.0, 60.0) is Quality.INVALID


@pytest.mark.parametrize("off", [-60.0, 70.0])
async def test_a_wall_clock_that_is_off_makes_numbers_stale_and_not_fresh(off: float) -> None:
    """The operator's was set, or Prometheus' is another: what was sampled just now is of another time, and holds."""
    asked = Asked()
    asked.answers["busy_ratio"] = [series(A, (WALL, "0.5"))]
    asked.wall = WALL + off
    source = asked.source()
    source.want([(A, OWN)])
    await source.round()
    assert quality(source.reading(A, OWN), asked.mono, 60.0) is Quality.STALE


async def test_what_an_error_says_is_told_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked()
    asked.fails = RuntimeError("<html>\n" * 100_000)
    source = asked.source()
    source.want([(A, OWN)])
    await source.round()
    assert len(caplog.records[0].getMessage()) < 500


def test_thousands_of_series_of_one_pod_are_one_reading() -> None:
    many = [series(A, (WALL - 5, "20"), gpu=str(number)) for number in range(5000)]
    assert last_samples(many, LABELS) == {A: Reading(20, WALL - 5)}
