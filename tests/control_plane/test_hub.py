"""A model of a hub: real API server, operator and fetcher with the operator's settings; a hub that refuses and relents.

The test plays the kubelet: it gives the fetcher the ConfigMap's file and the Secret's, and reports what its container does.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.reconciler.kinds import CONFIG_MAP, DEPLOYMENT
from fairlead.resources.names import AGENT_PORT, FETCH_CONFIG_KEY
from tests.control_plane.world import World
from tests.fetcher import Fetcher
from tests.hub import Hub, Settings, serving
from tests.objects import Object
from tests.ports import free_address
from tests.tenant import soon

pytestmark = pytest.mark.usefixtures("operator")

MODEL = "org/tiny"
WEIGHTS = bytes(range(251)) * 20_000


@pytest.fixture
def fetcher(tmp_path: Path) -> Iterator[Fetcher]:
    folder = tmp_path / "hub" / MODEL
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    hub = Hub(tmp_path / "hub", Settings(gated=[MODEL]))
    with serving(hub) as endpoint:
        made = Fetcher(tmp_path, hub, endpoint, host=free_address(), port=AGENT_PORT)
        yield made
        made.close()


def container(name: str, state: Object, *, ready: bool = False) -> Object:
    return {"name": name, "ready": ready, "restartCount": 0, "image": "", "imageID": "", "state": state}


def report(world: World, pod: Object, fetcher: Fetcher, fetch: Object, engine: Object, *, ready: bool = False) -> None:
    """As a kubelet would."""
    told = str(ready)
    running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    world.pod_status(
        pod,
        {
            "phase": "Running" if "running" in engine else "Pending",
            "podIP": fetcher.host,
            "podIPs": [{"ip": fetcher.host}],
            "initContainerStatuses": [container("sidecar", running, ready=True), container("fetch", fetch)],
            "containerStatuses": [container("engine", engine, ready=ready)],
            "conditions": [
                {"type": kind, "status": "True" if kind == "PodScheduled" else told}
                for kind in ("PodScheduled", "ContainersReady", "Ready")
            ],
        },
    )


def settings_of(world: World, name: str) -> Object:
    """fetch.json, as the pod's ConfigMap has it."""
    deployment = world.objects.must_get(DEPLOYMENT, world.namespace, name)
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    config = next(each["configMap"]["name"] for each in volumes if "configMap" in each)
    read: Object = json.loads(world.objects.must_get(CONFIG_MAP, world.namespace, config)["data"][FETCH_CONFIG_KEY])
    return read


def test_each_refusal_is_a_condition_and_the_model_comes_when_all_is_right(world: World, fetcher: Fetcher) -> None:
    model = {"uri": f"hf://{MODEL}", "endpoint": fetcher.endpoint, "secretRef": {"name": "hub"}, "cache": {"size": "1Gi"}}
    world.create("chat", {"replicas": 1, "model": model})
    (pod,) = world.wait_pods("chat", 1)
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["sidecar", "fetch"]
    settings = settings_of(world, "chat")
    secret = fetcher.folder / "token"
    fetcher.start(
        repository=settings["repository"], revision=settings["revision"], token=settings["token"] | {"file": str(secret)}
    )
    started = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    fetcher.until_told("HubTokenMissing")
    report(world, pod, fetcher, started, {"waiting": {"reason": "PodInitializing"}})

    def refused(reason: str, words: str, *, stalled: bool) -> None:
        found = world.wait_condition("chat", "ModelAvailable", status="False", reason=reason)
        assert words in found["message"]
        assert world.condition("chat", "Ready")["reason"] == reason
        assert world.condition("chat", "Stalled")["status"] == str(stalled)

    refused("HubTokenMissing", "there is no Secret hub, key token, in this namespace", stalled=False)
    secret.write_text("hf_wrong")
    refused("HubTokenRefused", "put a valid one there", stalled=True)
    fetcher.hub.settings.tokens["hf_stranger"] = []
    secret.write_text("hf_stranger")
    refused("HubAccessDenied", f"has no access to {MODEL}", stalled=True)
    fetcher.hub.settings.tokens["hf_good"] = [MODEL]
    fetcher.hub.settings.cut_after = 0
    secret.write_text("hf_good")
    refused("DownloadInterrupted", f"of {len(WEIGHTS) + 2} bytes of {MODEL}", stalled=False)
    fetcher.hub.settings.cut_after = None
    fetcher.hub.settings.hold_at = 2**21
    refused("ModelDownloading", f"of {len(WEIGHTS) + 2} bytes", stalled=False)
    fetcher.hub.settings.hold_at = None
    assert fetcher.ends() == 0

    done = {
        "terminated": {"exitCode": 0, "reason": "Completed", "message": fetcher.said(), "startedAt": None, "finishedAt": None}
    }
    report(world, pod, fetcher, done, started, ready=True)
    commit = fetcher.hub.commit(MODEL)
    found = world.wait_condition("chat", "ModelAvailable", status="True", reason="ModelDownloaded")
    assert found["message"] == f"1/1 replicas have the model, at {commit}"
    world.wait_condition("chat", "Ready", status="True", reason="Ready")
    assert world.mdep("chat")["status"]["modelRevisions"] == [commit]
    since = world.settled()
    assert world.writes_within(3, since) == []


@pytest.mark.parametrize(
    ("model", "reason", "words"),
    [
        ({"revision": "v9"}, "ModelRevisionNotFound", f"{MODEL} has no revision v9"),
        ({"uri": "hf://org/none"}, "ModelNotFound", "has no model org/none, or it is private"),
        ({}, "HubTokenRequired", "spec.model.secretRef"),
    ],
)
def test_what_the_spec_has_wrong_is_told(world: World, fetcher: Fetcher, model: Object, reason: str, words: str) -> None:
    world.create("chat", {"replicas": 1, "model": {"uri": f"hf://{MODEL}", "endpoint": fetcher.endpoint, **model}})
    (pod,) = world.wait_pods("chat", 1)
    settings = settings_of(world, "chat")
    fetcher.start(repository=settings["repository"], revision=settings["revision"], token=settings["token"])
    fetcher.until_told(reason)
    report(world, pod, fetcher, {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, {"waiting": {"reason": "PodInitializing"}})
    found = world.wait_condition("chat", "Stalled", status="True", reason=reason)
    assert words in found["message"]


def test_from_a_claim_to_a_hub_and_back(world: World) -> None:
    """Neither leaves a volume of two kinds, nor a group of the other's."""
    world.create("chat", {"replicas": 1})
    world.wait_children("chat")
    world.change("chat", {"model": {"uri": f"hf://{MODEL}"}})

    def template() -> Object:
        found: Object = world.objects.must_get(DEPLOYMENT, world.namespace, "chat")["spec"]["template"]["spec"]
        return found

    def volume() -> Object:
        return next(each for each in template()["volumes"] if each["name"] == "model")

    soon("the volume is the pod's own", lambda: set(volume()) == {"name", "ephemeral"})
    assert template()["securityContext"]["fsGroup"] == 65532
    world.change("chat", {"model": {"uri": "pvc://models/tiny"}})
    soon("the volume is the claim's", lambda: set(volume()) == {"name", "persistentVolumeClaim"})
    assert "fsGroup" not in template()["securityContext"]
    assert [each["name"] for each in template()["initContainers"]] == ["sidecar"]
    assert "ModelAvailable" not in {each["type"] for each in world.mdep("chat")["status"]["conditions"]}
