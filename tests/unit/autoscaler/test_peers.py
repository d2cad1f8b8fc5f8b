"""The peers' policies of the benchmark, against rows of their own upstream tests or documents."""

from __future__ import annotations

import pytest

from fairlead.autoscaler.simulator.fleet import Pod, View
from tests.bench.autoscaler.peers import PEERS, Static
from tests.bench.autoscaler.peers.aibrix import APA, apa
from tests.bench.autoscaler.peers.hpa import HPA, external_metric, pods_metric
from tests.bench.autoscaler.peers.keda import in_flight, keda
from tests.bench.autoscaler.peers.knative import KPA, Decider
from tests.bench.autoscaler.peers.kubeai import DOWN_DELAY, INTERVAL, KubeAI, MovingAverage
from tests.bench.autoscaler.peers.ray_serve import Delays, RayServe
from tests.bench.autoscaler.peers.wva import WVA, analyze


def pods(*loads: float, kv: float = 0.0) -> list[Pod]:
    return [Pod(index, index, 0.0, 0.0, state="ready", running=load, kv=kv) for index, load in enumerate(loads)]


# kubernetes/kubernetes, pkg/controller/podautoscaler/replica_calculator_test.go, TestReplicaCalc… (CPU rows in the same terms).
@pytest.mark.parametrize(
    ("current", "values", "missing", "target", "expected"),
    [
        pytest.param(3, [20, 10, 30], 0, 15, 4, id="ScaleUpCM"),
        pytest.param(3, [50, 10, 30], 0, 15, 6, id="ScaleUpCMUnreadyHotCpuNoLessScale"),
        pytest.param(3, [50, 15, 30], 0, 15, 7, id="ScaleUpCMUnreadyHotCpuScaleWouldScaleDown"),
        pytest.param(5, [12, 12, 12, 12, 12], 0, 20, 3, id="ScaleDownCM"),
        pytest.param(3, [20, 21, 21], 0, 20, 3, id="ToleranceCM"),
        pytest.param(3, [0.5, 0.7], 1, 0.3, 4, id="ScaleUpUnreadyLessScale"),
        pytest.param(3, [0.4], 2, 0.3, 3, id="ScaleUpUnreadyNoScale"),
        pytest.param(5, [0.1, 0.3, 0.5, 0.25, 0.25], 0, 0.5, 3, id="ScaleDown"),
    ],
)
def test_hpa_on_pods(current: int, values: list[float], missing: int, target: float, expected: int) -> None:
    assert pods_metric(current, values, missing, target) == expected


@pytest.mark.parametrize(
    ("current", "total", "target", "expected"),
    [
        pytest.param(3, 8.6, 2.15, 4, id="ScaleUpPerPodCMExternal"),
        pytest.param(5, 8.6, 2.867, 3, id="ScaleDownPerPodCMExternal"),
        # keda.sh/docs/latest/scalers/azure-storage-queue: one pod can handle 10 messages, 30 are there.
        pytest.param(1, 30, 10, 3, id="KEDA: 30 messages, 10 each"),
    ],
)
def test_hpa_and_keda_on_a_total(current: int, total: float, target: float, expected: int) -> None:
    assert external_metric(current, total, target) == expected


def test_hpa_default_behaviour() -> None:
    """kubernetes.io, "Default behavior": up by 4 pods or 100 % in 15 s, down to the greatest recommendation of 300 s."""
    wanted = iter([50, 50, 1, 1, *[1] * 20])
    hpa = HPA(lambda _: next(wanted))
    target, counts = 3, []
    for step in range(24):
        target = hpa.decide(View(15.0 * step, target, []))
        counts.append(target)
    assert counts[:2] == [7, 14]
    assert counts[2:21] == [14] * 19, "300 s after the last recommendation of 50"
    assert counts[22] == 1


# knative/serving, pkg/autoscaler/scaling/autoscaler_test.go: TestAutoscalerScale and the tests of its modes and rates (10
# up and down there).
@pytest.mark.parametrize(
    ("target", "ready", "windows", "rates", "expected"),
    [
        pytest.param(10, 1, (50, 50), (10, 10), 5, id="StableModeNoChange"),
        pytest.param(10, 5, (50, 50), (10, 10), 5, id="StableModeNoChangeAlreadyScaled"),
        pytest.param(1, 2, (3, 3.1), (1.1, 10), 3, id="StableModeIncreaseWithSmallScaleUpRate"),
        pytest.param(10, 100, (1, 1), (10, 1.1), 90, id="StableModeDecreaseWithSmallScaleDownRate"),
        pytest.param(10, 1, (50, 100), (10, 10), 10, id="PanicModeDoublePodCount"),
        pytest.param(10, 1, (1000, 1001), (10, 10), 10, id="RateLimitScaleUp"),
        pytest.param(10, 10, (1000, 1001), (10, 10), 100, id="RateLimitScaleUp again"),
        pytest.param(10, 100, (1, 1), (10, 10), 10, id="RateLimitScaleDown"),
        pytest.param(10, 0, (1000, 888), (10, 10), 10, id="UseOnePodAsMinimumIfEndpointsNotFound"),
    ],
)
def test_knative(target: float, ready: int, windows: tuple[float, float], rates: tuple[float, float], expected: int) -> None:
    """Windows: the stable and the panic average. Rates: up and down."""
    up, down = rates
    assert Decider(target, up_rate=up, down_rate=down).decide(0.0, ready, *windows) == expected


def test_knative_panics_and_calms_down() -> None:
    """TestAutoscalerPanicThenUnPanicScaleDown."""
    decider = Decider(10, up_rate=10, down_rate=10)
    assert decider.decide(0, 1, 100, 100) == 10
    assert decider.decide(0, 10, 100, 1000) == 100
    assert decider.decide(30, 10, 1, 1) == 100
    assert decider.decide(61, 10, 1, 1) == 1


def test_knative_stays_in_panic_while_it_surges() -> None:
    """TestAutoscalerUnpanicAfterSlowIncrease, TestAutoscalerExtendPanicWindow, TestStartInPanicMode."""
    slow = Decider(1, up_rate=10, down_rate=10)
    assert [slow.decide(0, 10, 11, 25), slow.decide(30, 40, 30, 41), slow.decide(62, 55, 50, 56)] == [25, 41, 50]
    extended = Decider(1, up_rate=10, down_rate=10)
    assert [extended.decide(0, 10, 11, 25), extended.decide(30, 40, 30, 80)] == [25, 80]
    assert extended.panicked == 30
    assert Decider(100, start=2).panicked is not None
    assert Decider(100, start=1).panicked is None


# substratusai/kubeai, internal/movingaverage/simple_test.go.
@pytest.mark.parametrize(
    ("seed", "values", "expected"),
    [(3, [1, 2, 3], 2), (3, [3, 2, 1], 2), (3, [3, 2, 1, 1, 1, 1], 1), (2, [2, 3], 2.5), (3, [2, 2, 2], 2)],
)
def test_kubeai_average(seed: int, values: list[float], expected: float) -> None:
    average = MovingAverage([0.0] * seed)
    assert [average.next(value) for value in values][-1] == expected


def test_kubeai_goes_down_after_votes_in_a_row() -> None:
    """kubeai.org, "Scale down delay": 30 s at a look every 10 s."""
    kubeai = KubeAI(10)
    assert kubeai.decide(View(0.0, 1, pods(45))) == 5
    votes = [kubeai.decide(View(INTERVAL * look, 9, pods(45))) for look in range(1, 4)]
    assert votes == [9, 9, 5]
    assert len(votes) == DOWN_DELAY / INTERVAL


# ray-project/ray, python/ray/serve/tests/unit/test_autoscaling_policy.py.
def test_ray_goes_up_and_down_after_its_delays() -> None:
    """test_upscale_downscale_delay: 2 requests for 1 replica with a target of 1; then none."""
    delays = Delays()
    ups = [delays.decide(second, 2, 1, 1, 1) for second in range(31)]
    assert ups == [1] * 30 + [2]
    downs = [delays.decide(100 + second, 1, 2, 2, 1) for second in range(601)]
    assert downs == [2] * 600 + [1]


def test_ray_starts_its_delay_anew_when_the_vote_turns() -> None:
    """The "interrupt" of the same flow, and test_fluctuating_ongoing_requests."""
    delays = Delays()
    assert [delays.decide(second, 2, 1, 1, 1) for second in range(15)] == [1] * 15
    assert delays.decide(15, 0, 1, 1, 1) == 1
    assert [delays.decide(16 + second, 2, 1, 1, 1) for second in range(31)] == [1] * 30 + [2]
    for trial in range(100):
        running = 1 + trial % 2
        assert delays.decide(1000 + trial, 100 if running == 1 else 40, running, running, 50) == running


def test_ray_waits_for_replicas_that_start() -> None:
    """test_replicas_delayed_startup, test_single_replica_receives_all_requests."""
    delays = Delays(up=0, down=100_000)
    flow = [(100, 1, 1), (100, 1, 100), (123, 3, 100), (10, 4, 123)]
    assert [delays.decide(second, *each, 1) for second, each in enumerate(flow)] == [100, 100, 123, 123]
    assert [Delays(0, 0).decide(0, requests, 4, 4, 5) for requests in (20, 100, 10)] == [4, 20, 2]


# vllm-project/aibrix, pkg/controller/podautoscaler/algorithm/apa_test.go.
@pytest.mark.parametrize(
    ("pods", "use", "up", "down", "expected"),
    [
        pytest.param(2, 45, 2, 2, 3, id="basic_scale_up"),
        pytest.param(2, 35, 2, 2, 3, id="scale_up_upto_ceiling"),
        pytest.param(2, 90, 2, 2, 4, id="scale_up_upto_max_scale_up"),
        pytest.param(2, 90, 2.5, 2, 5, id="scale_up_upto_max_scale_up_ceiling"),
        pytest.param(6, 20, 2, 2, 4, id="basic_scale_down"),
        pytest.param(6, 18, 2, 2, 4, id="scale_down_upto_ceiling"),
        pytest.param(6, 10, 2, 2, 3, id="scale_down_upto_max_scale_down"),
        pytest.param(6, 5, 2, 2.5, 2, id="scale_down_upto_max_scale_down_floor"),
        pytest.param(2, 33, 2, 2, 2, id="no_scaling_as_within_up_tolerance"),
        pytest.param(2, 27, 2, 2, 2, id="no_scaling_as_within_down_tolerance"),
    ],
)
def test_aibrix(pods: float, use: float, up: float, down: float, expected: int) -> None:
    assert apa(pods, use, 30, up_rate=up, down_rate=down) == expected


# llm-d/llm-d-workload-variant-autoscaler, internal/saturation/analyzer_test.go.
@pytest.mark.parametrize(
    ("replicas", "free", "up", "down"),
    [
        pytest.param([(0.75, 2), (0.76, 2)], 2, True, False, id="scale up due to low KV spare"),
        pytest.param([(0.50, 3), (0.50, 3)], 2, True, False, id="scale up due to low queue spare"),
        pytest.param([(0.50, 1), (0.50, 1)], 2, False, False, id="no scale up"),
        pytest.param([(0.20, 1), (0.30, 1), (0.25, 1)], 3, False, True, id="scale down safe"),
        pytest.param([(0.70, 2), (0.75, 2)], 2, True, False, id="scale down unsafe: headroom"),
        pytest.param([(0.50, 2)], 1, False, False, id="scale down unsafe: one"),
        pytest.param([], 0, False, False, id="empty"),
        pytest.param([(0.85, 2), (0.50, 6), (0.60, 2)], 1, False, False, id="saturated replicas"),
        pytest.param([(0.85, 2), (0.50, 6), (0.90, 7)], 0, True, False, id="all saturated"),
    ],
)
def test_wva(replicas: list[tuple[float, float]], free: int, *, up: bool, down: bool) -> None:
    found = analyze(replicas)
    assert found.free == free
    assert found.up == up
    assert found.down == down


def test_wva_waits_while_replicas_come_or_go() -> None:
    """TestCalculatesaturationTargets_ModelLevelTransitionBlocking and …ScaleUpCheapest."""
    assert WVA(0.8).decide(View(0.0, 4, pods(1, 1, kv=0.79))) == 4
    assert WVA(0.8).decide(View(0.0, 2, pods(1, 1, kv=0.79))) == 3


def test_wva_waits_while_one_starts() -> None:
    """TestCalculatesaturationTargets_PendingReplicasBlocksScaling: 3 there, 2 of them ready."""
    starting = Pod(2, 2, 0.0, 100.0)
    assert WVA(0.8).decide(View(0.0, 3, [*pods(1, 1, kv=0.79), starting])) == 3


def test_static() -> None:
    assert [Static(5).decide(View(2.0 * look, 5, pods(*[90.0 * look] * 5))) for look in range(3)] == [5, 5, 5]


def test_requests_of_replicas_that_drain_are_nobodys_reason_for_more() -> None:
    leaving = Pod(7, 7, 0.0, 0.0, state="draining", running=50)
    view = View(0.0, 2, [*pods(10, 20), leaving])
    assert in_flight(view) == 30
    assert keda(10).decide(view) == 3
    assert APA(10).decide(view) == 3


def test_windows_are_averages_over_time() -> None:
    """60 s for Knative and 30 s for Ray: three times as many requests from the 40th look on show little by little."""
    knative, ray = KPA(10), RayServe(10)
    knatives, rays = [], []
    for look in range(70):
        view = View(2.0 * look, 3, pods(*[5.0 if look < 40 else 15.0] * 3))
        knatives.append(knative.decide(view))
        rays.append(ray.decide(view))
    assert knatives[:31] == [3] * 31, "begins in panic, as more than one is there, and stays for 60 s"
    assert knatives[31:] == [2] * 14 + [3] * 10 + [4] * 10 + [5] * 5
    assert rays == [3] * 62 + [5] + [3] * 7, "over 30 on average at the eighth look, and 30 s later it counts"


@pytest.mark.parametrize("name", sorted(set(PEERS) - {"static"}))
def test_an_idle_peer_comes_down_to_one_and_a_crowded_one_goes_up(name: str) -> None:
    """Each as the benchmark runs it: with replicas that are there as it asks for them."""
    make, knobs = PEERS[name]
    ends = []
    for busy, start in ((False, 4), (True, 2)):
        policy, target = make(knobs[0]), start
        for look in range(1200):
            ready = pods(*([90.0 if busy else 0.0] * target), kv=0.9 if busy else 0.0)
            for pod in ready:
                pod.waiting, pod.duty = (40.0, 1.0) if busy else (0.0, 0.0)
            target = max(min(policy.decide(View(2.0 * look, target, ready)), 16), 1)
        ends.append(target)
    assert ends == [1, 16]
