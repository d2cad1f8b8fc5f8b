"""The autoscaler's metrics, and a whole look through the real library against a Prometheus that is not there."""

import asyncio
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fairlead.autoscaler.load import Load
from fairlead.autoscaler.memory import Memory
from fairlead.autoscaler.policy import Decision, Inputs
from fairlead.autoscaler.prometheus import connect
from fairlead.autoscaler.reasons import Reason
from fairlead.controller.autoscaling import Autoscaling
from fairlead.reconciler.kinds import Key
from fairlead.reconciler.store import Store
from tests.unit.autoscaler.test_fleet import deployment, model
from tests.unit.autoscaler.test_report import INPUTS

if TYPE_CHECKING:
    from fairlead.reconciler.scaling import Scaled

KEY = Key("ns", "chat")


def samples(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    """Value by name and reason or part."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    found = {}
    for family in families:
        for each in family.samples:
            assert each.labels.get("namespace", "ns") == "ns"
            found[each.name, each.labels.get("reason") or each.labels.get("part", "")] = each.value
    return found


def test_every_input_and_every_decision_is_a_metric() -> None:
    registry = CollectorRegistry()
    autoscaling = Autoscaling(Store(), registry, None, lambda: 0.0)
    record = autoscaling._record
    loads = {"a": Load(kv=0.5, token_rate=100.0), "b": Load(kv=0.25)}
    decision = Decision(3, Reason.QUEUE_HIGH, "", INPUTS, Memory(loads=loads))
    record.decided(KEY, decision)
    record.decided(KEY, replace(decision, replicas=2, reason=Reason.DUTY_CYCLE_VETO))
    record.decided(KEY, replace(decision, replicas=2, reason=Reason.DUTY_CYCLE_VETO))
    record.ticked(0.25, 0.1)
    seen = samples(registry)
    prefix = "fairlead_autoscaler"
    values = {name.removeprefix(f"{prefix}_"): value for (name, label), value in seen.items() if not label}
    assert values == {
        "desired_replicas": 2,
        "asked_replicas": 2,
        "ready_replicas": 2,
        "starting_replicas": 1,
        "terminating_replicas": 0,
        "unreadable_replicas": 0,
        "broken_replicas": 0,
        "waiting_requests": 9,
        "waiting_growth_requests_per_second": 0.5,
        "running_requests": 12.4,
        "demand_replicas": 1.234,
        "surge_replicas": 2.5,
        "forecast_replicas": 1.5,
        "peak_replicas": 1.9,
        "kv_cache_usage_ratio": 0.5,
        "generation_tokens_per_second": 100.0,
        "duty_cycle_ratio": 0.976,
        "cold_start_seconds": 121.7,
        "speed_tokens_per_second": 52.25,
    }
    assert seen[f"{prefix}_decisions_total", "QueueHigh"] == 1
    assert seen[f"{prefix}_decisions_total", "DutyCycleVeto"] == 2
    assert (seen[f"{prefix}_loop_seconds_sum", "read"], seen[f"{prefix}_loop_seconds_sum", "decide"]) == (0.25, 0.1)
    record.forget(KEY)
    assert not {name for name, label in samples(registry) if not label}, "what is gone is not told any more"


@pytest.mark.parametrize("name", [each.name for each in fields(Inputs)])
def test_no_input_is_missing_among_the_metrics(name: str) -> None:
    def told(inputs: Inputs) -> dict[tuple[str, str], float]:
        registry = CollectorRegistry()
        Autoscaling(Store(), registry, None, lambda: 0.0)._record.decided(KEY, Decision(3, Reason.STEADY, "", inputs, Memory()))
        return samples(registry)

    assert told(INPUTS) != told(replace(INPUTS, **{name: getattr(INPUTS, name) + 1}))


async def test_a_term_decides_and_leaves_nothing_behind() -> None:
    store = Store()
    store.put(model())
    store.put(deployment(2))
    registry = CollectorRegistry()
    autoscaling = Autoscaling(store, registry, None, asyncio.get_running_loop().time)
    scales: dict[Key, Scaled] = {}
    decided = asyncio.Event()
    term = asyncio.create_task(autoscaling.run(scales, lambda _: decided.set()))
    async with asyncio.timeout(10):
        await decided.wait()
    assert scales[KEY].replicas == 2
    term.cancel()
    with pytest.raises(asyncio.CancelledError):
        await term
    assert ("fairlead_autoscaler_desired_replicas", "") not in samples(registry), "another operator decides now"


@contextmanager
def prometheus(answer: dict[str, Any], status: int = 200, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """Something that answers like a Prometheus; its address, and the queries that it has seen."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            seen.append(f"{url.path} {urllib.parse.parse_qs(url.query)['query'][0]}")
            body = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on the test's terminal."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics-store", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_library_asks_as_prometheus_wants_it() -> None:
    series = {"metric": {"namespace": "ns", "pod": "a"}, "values": [[1, "2"]]}
    with prometheus({"status": "success", "data": {"resultType": "matrix", "result": [series]}}) as (url, seen):
        assert connect(url)('M{pod=~"a"}[2m]') == [series]
    assert seen == ['/metrics-store/api/v1/query M{pod=~"a"}[2m]']


def test_an_error_of_prometheus_is_one_and_is_not_asked_again_at_once() -> None:
    with prometheus({"status": "error", "error": "no"}, status=503) as (url, seen), pytest.raises(Exception, match="503"):
        connect(url)("up")
    assert len(seen) == 1


def test_a_redirect_is_not_followed() -> None:
    """Whoever answers in Prometheus' place must not send the operator to another address."""
    with prometheus({}, status=302, Location="/elsewhere?query=up") as (url, seen), pytest.raises(Exception, match="redirects"):
        connect(url)("up")
    assert seen == ["/metrics-store/api/v1/query up"]
