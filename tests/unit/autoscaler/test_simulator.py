"""The simulator: what can be worked out by hand, what must hold for any traffic, and that it is the same in Python and in C."""

from __future__ import annotations

import shutil
from array import array
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.autoscaler.simulator import engine
from fairlead.autoscaler.simulator.engine import Model
from fairlead.autoscaler.simulator.fleet import Fleet, View
from fairlead.autoscaler.simulator.play import Change, Played, Result, judge, play, reversals
from fairlead.autoscaler.simulator.trace import Trace, trace
from tests.bench.autoscaler import clairvoyant, compiled, table, traffic
from tests.bench.autoscaler.runs import MOST, OURS, Done, Run, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead.autoscaler.simulator.fleet import Engines

MODEL = Model("by hand", 0.010, 0.0001, 0.001, 0.0, 0.0, kv_tokens=10_000, max_running=4, step_tokens=1000)
"""10 ms a step, 0.1 ms a token of prompt, 1 ms a token of answer."""
COMPILER = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler: only the benchmark needs one")
BOTH = pytest.mark.parametrize(
    "engines", [pytest.param(engine.Engines, id="Python"), pytest.param(compiled.Engines, id="C", marks=COMPILER)]
)
Make = type[engine.Engines] | type[compiled.Engines]
Request = tuple[float, int, int]


def made(engines: Make, model: Model, requests: Sequence[Request], replicas: int = 1, *, any_replica: bool = False) -> Engines:
    """Replicas that are open from the beginning, and what comes to them."""
    at, prompt, output = zip(*requests, strict=True)
    found = engines(model, array("d", at), array("i", prompt), array("i", output), any_replica=any_replica)
    for slot in range(replicas):
        found.open(slot, 0.0)
    return found


def played(engines: Make, model: Model, *requests: Request, replicas: int = 1) -> list[float]:
    """First-token time of each request (arrival, prompt, answer)."""
    found = made(engines, model, requests, replicas)
    found.advance(1000.0)
    return found.close()


@BOTH
@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        pytest.param([(0.0, 100, 10)], [0.020], id="one: a step of its prompt"),
        pytest.param([(0.0, 2500, 10)], [0.110 + 0.110 + 0.060], id="a long prompt takes three steps"),
        # While the first decodes, the second's prompt shares the step with one token of it.
        pytest.param([(0.0, 100, 1000), (1.0, 100, 10)], [0.020, 0.010 + 0.021], id="two: waits for a step's end"),
        pytest.param([(0.0, 100, 2)] * 2, [0.030, 0.030], id="two prompts in one step"),
        pytest.param([(0.0, 100, 5)] * 5, [0.050] * 4 + [0.050 + 4 * 0.014 + 0.020], id="the fifth waits for a place"),
    ],
)
def test_first_tokens_by_hand(engines: Make, requests: list[Request], expected: list[float]) -> None:
    assert played(engines, MODEL, *requests) == pytest.approx(expected, abs=1e-5)


@BOTH
def test_the_cache_is_a_limit(engines: Make) -> None:
    """Two answers that do not fit together: the younger is put back, and both come to their end."""
    found = made(engines, replace(MODEL, kv_tokens=300), [(0.0, 100, 150)] * 2)
    found.advance(0.2)
    assert found.read(0).running == 2
    found.advance(0.9)
    assert found.read(0)[:2] == (1, 1)
    found.advance(100.0)
    running, waiting, kv, _, tokens = found.read(0)
    assert (running, waiting, kv, tokens) == (0, 0, 0, 300)
    assert max(found.close()) < 0.1


@BOTH
def test_requests_go_to_the_replica_with_the_fewest(engines: Make) -> None:
    assert played(engines, MODEL, *[(0.0, 100, 5)] * 4, replicas=4) == pytest.approx([0.020] * 4, abs=1e-5)


@BOTH
def test_or_to_any(engines: Make) -> None:
    found = made(engines, MODEL, [(0.0, 10, 1000)] * 400, 4, any_replica=True)
    found.advance(0.01)
    loads = [each.running + each.waiting for each in map(found.read, range(4))]
    found.close()
    assert sum(loads) == 400
    assert all(60 < each < 140 for each in loads)
    assert max(loads) - min(loads) > 1


@COMPILER
@settings(max_examples=60)
@given(
    requests=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 3000), st.integers(1, 300)), min_size=1, max_size=30),
    replicas=st.integers(1, 3),
    kv=st.sampled_from([500, 2000, 5000]),
    any_replica=st.booleans(),
)
def test_nothing_is_lost_and_python_and_c_agree_to_the_last_bit(
    requests: list[Request], replicas: int, kv: int, *, any_replica: bool
) -> None:
    """Every request gets its first token and all others, and the replicas are idle in the end."""
    # Twentieths of seconds are no round numbers in binary, and so close that requests meet.
    timed = sorted((at / 20, prompt, output) for at, prompt, output in requests)
    model = replace(MODEL, kv_tokens=kv, overhead_base=0.003, overhead_prompt=1e-5)
    outcomes = []
    for engines in (engine.Engines, compiled.Engines):
        found = made(engines, model, timed, replicas, any_replica=any_replica)
        # One that opens late, and one that drains.
        found.advance(0.5)
        found.open(replicas, 0.5)
        found.drain(0)
        slots = range(replicas + 1)
        looks = []
        for look in (1.0, 1.5, 2.0, 5.0, 100_000.0):
            found.advance(look)
            looks.append([found.read(slot) for slot in slots])
        outcomes.append((looks, found.close()))
    assert outcomes[0] == outcomes[1]
    looks, first = outcomes[0]
    assert sum(each.tokens for each in looks[-1]) == sum(output for _, _, output in requests)
    assert all(each[:3] == (0, 0, 0) for each in looks[-1])
    assert all(0 < each < 100_000 for each in first)


class Asks:
    """A policy that asks for what it is told, in order."""

    def __init__(self, *counts: int) -> None:
        self.counts = list(counts)
        self.views: list[list[str]] = []

    def decide(self, view: View) -> int:
        self.views.append([pod.state for pod in view.pods])
        return self.counts.pop(0) if self.counts else view.target


def simulated(requests: Trace, policy: Asks, start: int) -> Played:
    engines = engine.Engines(MODEL, requests.arrival, requests.prompt, requests.output)
    return play(engines, requests, policy, cold_start=10.0, start=start, most=16, every=4.0)


def test_replicas_start_late_drain_and_go() -> None:
    requests = trace("one long answer", [(0.0, 100, 1000)], 40.0)
    policy = Asks(2, 2, 2, 2, 2, 2, 2, 1)
    result = judge(requests, simulated(requests, policy, start=1))
    assert policy.views[1] == ["ready", "starting"]
    assert policy.views[6] == ["ready", "ready"]
    assert policy.views[8] == ["ready"], "the youngest goes, and it had nothing to drain"
    assert (result.changes, result.reversals, result.attainment) == (2, 1, 100.0)
    assert result.gpu_hours * 3600 == pytest.approx(20 * 2 + 8 * 2)


def test_a_replica_with_a_stream_holds_its_gpu_until_the_end() -> None:
    requests = trace("two long answers", [(0.0, 100, 1000)] * 2, 40.0)
    policy = Asks(2, 1)
    simulated(requests, policy, start=2)
    assert policy.views[3] == ["ready", "draining"]
    assert policy.views[5] == ["ready", "draining"]
    assert policy.views[10] == ["ready"]


def test_one_that_starts_goes_before_one_that_serves() -> None:
    engines = engine.Engines(MODEL, array("d"), array("i"), array("i"))
    fleet = Fleet(engines, 100.0, seed=1)
    fleet.add(0.0, ready=True)
    fleet.look(0.0, 0.0)
    fleet.scale(0.0, 3)
    fleet.scale(2.0, 2)
    assert [pod.number for pod in fleet.pods] == [0, 1]
    fleet.scale(4.0, 1)
    assert [pod.state for pod in fleet.pods] == ["ready"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], 0),
        ([(0, 3, 4), (100, 4, 5)], 0),
        ([(0, 3, 4), (600, 4, 3)], 1),
        ([(0, 3, 4), (601, 4, 3)], 0),
        ([(0, 3, 4), (60, 4, 2), (120, 2, 3)], 2),
    ],
)
def test_reversals(changes: list[tuple[float, int, int]], expected: int) -> None:
    assert reversals([Change(*each) for each in changes]) == expected


@pytest.mark.parametrize(
    ("changes", "start", "expected"),
    [([], MOST, 1.0), ([], 1, 0.0), ([(20, 1, MOST), (80, MOST, 15)], 1, 0.6), ([(0, MOST, 2), (90, 2, MOST)], MOST, 0.1)],
)
def test_the_share_of_the_time_at_the_most(changes: list[tuple[float, int, int]], start: int, expected: float) -> None:
    assert share([Change(*each) for each in changes], start, 100.0) == pytest.approx(expected)


def test_who_never_got_a_token_has_waited_until_the_end() -> None:
    traffic = trace("three", [(0.0, 1, 1), (1.0, 1, 1), (4.0, 1, 1)], 10.0)
    result = judge(traffic, Played(array("d", [0.5, -1.0, 0.5]), 1.0, (), ()))
    assert (result.p99, result.median) == (9.0, 0.5)
    assert result.attainment == pytest.approx(100 * 2 / 3)


def test_synthetic_traffic_is_the_same_every_time() -> None:
    one, two, other = traffic.synthetic(1, 600), traffic.synthetic(1, 600), traffic.synthetic(2, 600)
    assert (one.arrival, one.prompt, one.output) == (two.arrival, two.prompt, two.output)
    assert one.arrival != other.arrival
    assert all(before <= after for before, after in pairwise(one.arrival))


def test_halves_are_the_whole() -> None:
    whole = traffic.synthetic(1, 600)
    first, second = traffic.half(whole, 0), traffic.half(whole, 1)
    assert len(first) + len(second) == len(whole)
    assert list(first.prompt) + list(second.prompt) == list(whole.prompt)
    assert 0 <= second.arrival[0] < 10


def test_the_clairvoyant_asks_before_it_is_needed_and_keeps_over_a_dip() -> None:
    demand = [0.5] * 300 + [1.5] * 100 + [0.5] * 60 + [1.5] * 100 + [0.5] * 400
    oracle = clairvoyant.Clairvoyant(demand, 1.0, 40.0)
    asked = [oracle.decide(View(float(second), 1, [])) for second in range(len(demand) - 60)]
    assert asked.index(2) == 300 - 46
    assert set(asked[300 - 46 : 560]) == {2}
    assert asked[560] == 1


def done(policy: str, knob: float, attainment: float, hours: float, turns: int = 0, *, at_most: float = 0.0) -> Done:
    return Done(Run(0, 120.0, policy, knob), Result(attainment, 0.1, 1.0, hours, 10, turns), at_most=at_most)


def test_the_best_of_a_sweep_is_the_cheapest_that_is_good_enough() -> None:
    sweep = [done("KEDA", 1, 99.99, 120), done("KEDA", 2, 99.91, 100), done("KEDA", 3, 99.5, 80)]
    assert table.best(sweep).run.knob == 2
    assert table.best(sweep[2:]).run.knob == 3


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        pytest.param(done("KEDA", 1, 99.96, 99, 60), ["better at both"], id="beaten"),
        pytest.param(done("KEDA", 1, 99.96, 101, 60), [], id="better and dearer"),
        pytest.param(done("KEDA", 1, 99.94, 90, 60), [], id="cheaper and worse"),
        pytest.param(done("KEDA", 1, 99.2, 90, 10), ["reverses 10 times"], id="calmer"),
        pytest.param(done("KEDA", 1, 98.2, 90, 10), [], id="calmer and bad"),
        pytest.param(done("static", 1, 99.96, 90, 0), [], id="not adaptive"),
        pytest.param(done("HPA", 1, 99.99, 380, 1, at_most=0.99), [], id="pinned at the most"),
    ],
)
def test_the_gate(peer: Done, expected: list[str]) -> None:
    found = table.failures([done(OURS, 0, 99.95, 100, 20), peer])
    assert len(found) == len(expected)
    assert all(word in line for word, line in zip(expected, found, strict=True))


def test_a_calm_setting_that_is_not_the_best_one_is_told_with_its_price() -> None:
    runs = [done(OURS, 0, 99.95, 100, 20), done("KEDA", 1, 99.97, 190, 3), done("KEDA", 2, 99.91, 120, 60)]
    assert table.failures(runs) == []
    (told,) = table.calmer(runs)
    assert told == ("KEDA at 1 reverses 3 times, Fairlead 20; it had 99.970 % in time for 1.90 times the GPU-hours")
