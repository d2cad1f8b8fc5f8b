"""examples/quickstart.yaml as a user applies it: two replicas of real vLLM behind real Envoy, and an answer that streams."""

import json
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import World
from tests.e2e.kube import Object, condition, describe, wait_ready
from tests.waiting import until

QUICKSTART = Path(__file__).resolve().parents[2] / "examples/quickstart.yaml"
CHAT: Object = {"model": "tiny", "messages": [{"role": "user", "content": "Good morning"}], "max_tokens": 24, "ignore_eos": True}


@pytest.fixture(scope="module")
def quickstart(world: World) -> str:
    """The example word for word, but for the name of the volume: that of the example is bound to one namespace."""
    for each in yaml.safe_load_all(QUICKSTART.read_text()):
        if each["kind"] == "PersistentVolumeClaim":
            each["spec"]["volumeName"] = f"models-{world.namespace}"
        each["metadata"]["namespace"] = world.namespace
        world.kube.apply(each)
    world.made.append("quickstart")
    wait_ready(world.kube, "quickstart", world.namespace)
    return "quickstart"


def post(world: World, path: str, body: Object, *args: str) -> str:
    url = world.url("quickstart") + path
    return world.curl(url, "--no-buffer", "-H", "content-type: application/json", "-d", json.dumps(body), *args).stdout


@pytest.mark.usefixtures("quickstart")
def test_two_replicas_stream_an_answer(world: World) -> None:
    assert len(world.ready_endpoints("quickstart")) == 2
    text = post(world, "/v1/chat/completions", CHAT | {"stream": True, "stream_options": {"include_usage": True}})
    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]
    assert text.rstrip().endswith("data: [DONE]"), text[-500:]
    assert events[-1]["usage"]["completion_tokens"] == CHAT["max_tokens"]
    words = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    assert words.strip()
    assert len(events) > CHAT["max_tokens"] / 2, "the answer came in lumps, not as it was made"


@pytest.mark.usefixtures("quickstart")
def test_both_replicas_answer_and_the_engine_itself_is_out_of_reach(world: World) -> None:
    for pod in world.pods("quickstart"):
        ip = pod["status"]["podIP"]
        assert '"tiny"' in world.curl(f"http://{ip}:8000/v1/models").stdout
        for port, path in ((8001, "/health"), (8003, "/drain"), (9901, "/ready")):
            assert world.curl(f"http://{ip}:{port}{path}").returncode == 7, f"port {port} answers on the pod's address"
        for path in (
            "/metrics",
            "/tokenize",
            "/v1/load_lora_adapter",
            "/pause",
            "/sleep",
            "/invocations",
            "/docs",
            "/openapi.json",
            "/v1/models/",
        ):
            got = world.curl(f"http://{ip}:8000{path}", "-o", "/dev/null", "-w", "%{http_code}").stdout
            assert got == "404", f"{path}: {got}"


@pytest.mark.usefixtures("quickstart")
def test_errors_have_the_shape_that_clients_of_the_api_parse(world: World) -> None:
    for path, body, code in (("/nothing", CHAT, 404), ("/v1/chat/completions", CHAT | {"model": "another"}, 404)):
        said = post(world, path, body, "-w", "\n%{http_code}")
        text, _, status = said.rpartition("\n")
        assert int(status) == code
        error = json.loads(text)["error"]
        assert error["message"]
        assert set(error) >= {"message", "type", "param", "code"}


@pytest.mark.usefixtures("quickstart")
def test_access_log_has_the_request_and_not_the_prompt(world: World) -> None:
    secret = "a-prompt-that-nobody-may-read"  # noqa: S105
    header = "Bearer a-token-that-nobody-may-read"
    post(
        world,
        "/v1/completions?key=a-query-that-nobody-may-read",
        {"model": "tiny", "prompt": secret, "max_tokens": 2},
        "-H",
        f"authorization: {header}",
    )

    def logged() -> list[Object]:
        lines = [
            json.loads(line)
            for pod in world.pods("quickstart")
            for line in world.kube.logs(pod["metadata"]["name"], "sidecar", world.namespace, "--since=60s").splitlines()
            if line.startswith("{")
        ]
        return [each for each in lines if each.get("path") == "/v1/completions"]

    (line, *_) = until("the request is in the access log", logged, seconds=30)
    assert line["request_id"]
    everything = json.dumps(
        [
            world.kube.logs(pod["metadata"]["name"], c, world.namespace)
            for pod in world.pods("quickstart")
            for c in ("sidecar", "engine")
        ]
    )
    assert "nobody-may-read" not in everything


@pytest.mark.usefixtures("quickstart")
def test_kubectl_get_and_status_follow_the_conventions(world: World) -> None:
    head, row, *_ = world.kube.run("get", "mdep", "-n", world.namespace).stdout.splitlines()
    assert head.split() == ["NAME", "READY", "REPLICAS", "MODEL", "URL", "AGE"]
    assert row.split()[:5] == ["quickstart", "True", "2/2", "tiny", f"http://quickstart.{world.namespace}.svc"]
    mdep = world.kube.must_get("mdep", "quickstart", world.namespace)
    assert {each["type"] for each in mdep["status"]["conditions"]} == {
        "Ready",
        "ConfigurationValid",
        "ReplicasAvailable",
        "Progressing",
        "Stalled",
    }
    for each in mdep["status"]["conditions"]:
        assert each["observedGeneration"] == mdep["metadata"]["generation"]
        assert each["reason"]
        assert each["lastTransitionTime"]
    assert "finalizers" not in mdep["metadata"]
    # an HPA needs these
    scale = json.loads(
        world.kube.run(
            "get", "--raw", f"/apis/serving.fairlead.dev/v1alpha1/namespaces/{world.namespace}/modeldeployments/quickstart/scale"
        ).stdout
    )
    assert scale["status"]["replicas"] == 2
    assert scale["status"]["selector"] == "serving.fairlead.dev/model-deployment=quickstart"


@pytest.mark.usefixtures("quickstart")
def test_an_unknown_flag_is_told_before_any_pod_is_made_and_the_replicas_stay(world: World) -> None:
    before = {each["metadata"]["uid"] for each in world.pods("quickstart")}
    world.kube.merge("mdep", "quickstart", {"spec": {"engine": {"args": {"enforce-eagre": "true"}}}}, world.namespace)

    def told() -> Object | None:
        found = condition(world.kube.must_get("mdep", "quickstart", world.namespace), "ConfigurationValid")
        return found if found["status"] == "False" else None

    found = until(
        "ConfigurationValid is False", told, seconds=30, describe=lambda: describe(world.kube, "quickstart", world.namespace)
    )
    assert found["reason"] == "UnknownEngineFlag"
    assert "enforce-eager" in found["message"]
    assert {each["metadata"]["uid"] for each in world.pods("quickstart")} == before
    refused = world.kube.run(
        "patch",
        "mdep",
        "quickstart",
        "-n",
        world.namespace,
        "--type=merge",
        "-p",
        json.dumps({"spec": {"engine": {"args": {"trust-remote-code": "true"}}}}),
        check=False,
    )
    assert refused.returncode != 0
    assert "trust-remote-code" in refused.stderr
    world.kube.merge("mdep", "quickstart", {"spec": {"engine": {"args": {"enforce-eagre": None}}}}, world.namespace)
    wait_ready(world.kube, "quickstart", world.namespace, seconds=60)
    assert {each["metadata"]["uid"] for each in world.pods("quickstart")} == before
