"""The duty cycle out of something that answers like Prometheus, asked by the operator: it counts, and its end holds."""

import http.server
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.control_plane.process import OperatorProcess
from tests.control_plane.served import NAME, Served
from tests.control_plane.world import World
from tests.tenant import soon

DOWN_SECONDS = 180.0


class FakePrometheus:
    """Tells one duty cycle of all pods, sampled just now; while it is silent it answers 503."""

    def __init__(self) -> None:
        self.duty = "0"
        self.silent = False
        self.queries: list[str] = []
        said = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["query"][0]
                said.queries.append(query)
                body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": said.series(query)}}).encode()
                self.send_response(503 if said.silent else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing on the test's terminal."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def series(self, query: str) -> list[dict[str, object]]:
        found = re.search(r'\((\w+)\{namespace="([^"]+)",pod=~"([^"]+)"\}', query)
        assert found is not None
        metric, namespace, pods = found.groups()
        if metric != "DCGM_FI_DEV_GPU_UTIL":
            return []
        now = time.time()
        return [
            {"metric": {"namespace": namespace, "pod": pod, "fairlead": part}, "value": [now, value]}
            for pod in pods.split("|")
            for part, value in (("value", self.duty), ("time", str(now)))
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def prometheus() -> Iterator[FakePrometheus]:
    made = FakePrometheus()
    yield made
    made.close()


@pytest.fixture(scope="module")
def told(another_operator: Callable[..., OperatorProcess], prometheus: FakePrometheus) -> OperatorProcess:
    """An operator that was told where Prometheus is."""
    operator = another_operator("with-prometheus", {"prometheus": {"url": prometheus.url}})
    operator.start()
    return operator


@pytest.fixture
def served(world: World, told: OperatorProcess) -> Iterator[Served]:  # noqa: ARG001  it runs
    with ExitStack() as stack:
        yield Served(world, stack)


def test_a_busy_gpu_forbids_and_a_silent_prometheus_holds(served: Served, prometheus: FakePrometheus) -> None:
    prometheus.duty = "97"
    served.create(2, quietSeconds=30, stepSeconds=2, prometheus={})
    # By their agents the GPUs do nothing: what forbids the step down came through Prometheus.
    soon("the veto is told", lambda: served.status.get("reason") == "DutyCycleVeto", seconds=DOWN_SECONDS)
    assert served.status["inputs"]["dutyCyclePercent"] == 97
    namespace = served.world.namespace
    assert any(f'{{namespace="{namespace}",pod=~"{NAME}-' in query for query in prometheus.queries)
    prometheus.silent = True
    found = served.world.wait_condition(NAME, "Autoscaled", status="False", reason="MetricsPartial", seconds=200)
    assert "Prometheus has told no duty cycle" in found["message"]
    assert served.asked == 2
    prometheus.silent, prometheus.duty = False, "0"
    soon("what is heard again counts", lambda: served.asked == 1, seconds=DOWN_SECONDS)
