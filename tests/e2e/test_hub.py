"""Models of a hub on a real node: a pod that answers from what it downloaded, and each refusal as a condition of its own.

The hub runs on the node, outside of any pod. Each pod's volume is one of a few folders, of a StorageClass that makes none.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.model_volume import model_volume
from tests.e2e.conftest import ROOT, World
from tests.e2e.kube import Object, condition, describe, wait_ready
from tests.hub import Hub, Settings
from tests.waiting import until

pytestmark = pytest.mark.heavy

MODEL = "org/tiny"
GATED = "org/gated"
HUGE = "org/huge"
PORT = 18080
VOLUMES = 10
"""One for each pod of this file: a volume that was used takes no other claim."""
COMPLETION = json.dumps({"model": "tiny", "prompt": "Good morning", "max_tokens": 4})
SECRET_SECONDS = 180
"""For a Secret that was made or changed: the kubelet's 60 s to 90 s, and the fetcher's minute."""


@dataclass(frozen=True)
class Site:
    """The hub's folder, its endpoint as pods see it, and the class of the volumes."""

    hub: Hub
    endpoint: str
    storage_class: str

    def set(self, **changes: Any) -> None:
        """The hub's settings from now on, over its defaults: one gated model, and who may have it."""
        settings = {"gated": [GATED], "tokens": {"good-token": [GATED], "strangers-token": []}, **changes}
        scratch = self.hub.folder / "hub.new"
        scratch.write_text(json.dumps(asdict(Settings(**settings))))
        scratch.replace(self.hub.folder / "hub.json")

    def model(self, name: str = MODEL, **more: Any) -> Object:
        cache = {"size": "1Gi", "storageClassName": self.storage_class}
        return {"uri": f"hf://{name}", "servedName": "tiny", "endpoint": self.endpoint, "cache": cache, **more}


@pytest.fixture(scope="module")
def site(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hub")
    for name in (MODEL, GATED):
        shutil.copytree(world.cluster.models / "tiny", folder / name)
    (folder / HUGE).mkdir(parents=True)
    with (folder / HUGE / "model.safetensors").open("wb") as file:
        file.truncate(2**43)  # 8 TiB, all of it a hole; ext4 takes just less than 16
    storage_class = f"hub-{world.namespace}"
    volumes = world.cluster.models / storage_class
    world.kube.apply(*storage(storage_class, volumes))
    made = Site(Hub(folder), f"http://{world.cluster.node_address}:{PORT}", storage_class)
    made.set()
    command = [
        *world.in_node,
        sys.executable,
        "-m",
        "tests.hub",
        f"--host={world.cluster.node_address}",
        f"--port={PORT}",
        str(folder),
    ]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        listing = f"{made.endpoint}/api/models/{MODEL}/revision/main"
        until("the hub answers", lambda: world.curl(listing).returncode == 0, seconds=30, every=0.2)
        yield made
    finally:
        process.terminate()
        process.wait(timeout=30)
        world.kube.delete("storageclass", storage_class)
        for number in range(VOLUMES):
            world.kube.delete("persistentvolume", f"{storage_class}-{number}", "default", "--wait=false")
        shutil.rmtree(volumes, ignore_errors=True)


def storage(name: str, folder: Path) -> list[Object]:
    """A class whose volumes are bound and not made, as for disks of a node, and some volumes of it."""
    made: list[Object] = [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    ]
    for number in range(VOLUMES):
        (folder / str(number)).mkdir(parents=True)
        volume = model_volume(folder / str(number), f"{name}-{number}")
        volume["spec"] |= {"accessModes": ["ReadWriteOnce"], "storageClassName": name}
        made.append(volume)
    return made


def told(world: World, name: str, reason: str, *, seconds: float = 120, fits: Callable[[str], bool] = bool) -> Object:
    """Wait until ModelAvailable has that reason, and a message that fits."""

    def look() -> Object | None:
        found = condition(world.kube.must_get("mdep", name, world.namespace), "ModelAvailable")
        return found if found.get("reason") == reason and fits(found["message"]) else None

    return until(
        f"ModelAvailable of {name} says {reason}",
        look,
        seconds=seconds,
        every=1,
        describe=lambda: describe(world.kube, name, world.namespace),
    )


def in_engine(world: World, pod: Object, program: str) -> subprocess.CompletedProcess[str]:
    command = ("exec", pod["metadata"]["name"], "-n", world.namespace, "-c", "engine", "--", "python3", "-c", program)
    return world.kube.run(*command, check=False)


def test_a_pod_answers_from_a_model_that_it_downloaded_over_a_line_that_was_cut(world: World, site: Site) -> None:
    # What is small comes at once, and of the weights no more than the beginning, until the line is cut.
    site.set(hold_at=1000, cut_after=2000)
    world.create("hub", wait=None, replicas=1, model=site.model())
    progress = told(
        world, "hub", "ModelDownloading", fits=lambda message: re.search(r": [1-9]\d* of \d+ bytes", message) is not None
    )
    assert "0/1 replicas have the model" in progress["message"]
    assert condition(world.kube.must_get("mdep", "hub", world.namespace), "Stalled")["status"] == "False"
    site.set(cut_after=0)
    cut = told(world, "hub", "DownloadInterrupted")
    found = re.search(r"cut off after (\d+) of (\d+) bytes of org/tiny, and goes on from there", cut["message"])
    assert found is not None, cut["message"]
    assert int(found[1]) < int(found[2])
    site.set()
    mdep = wait_ready(world.kube, "hub", world.namespace)
    commit = site.hub.commit(MODEL)
    assert mdep["status"]["modelRevisions"] == [commit]
    assert condition(mdep, "ModelAvailable")["message"] == f"1/1 replicas have the model, at {commit}"
    said = world.curl(f"{world.url('hub')}/v1/completions", "-H", "content-type: application/json", "-d", COMPLETION)
    assert json.loads(said.stdout)["usage"]["completion_tokens"] == 4, said
    (pod,) = world.pods("hub")
    assert in_engine(world, pod, "open('/models/model/x', 'w')").returncode != 0, "the engine can write to its model"
    claim = world.kube.must_get("persistentvolumeclaim", f"{pod['metadata']['name']}-model", world.namespace)
    assert claim["metadata"]["ownerReferences"][0]["name"] == pod["metadata"]["name"]
    world.remove("hub")


def test_a_token_is_asked_for_refused_and_taken_and_the_engine_never_has_it(world: World, site: Site) -> None:
    site.set()
    world.create("gated", wait=None, replicas=1, model=site.model(GATED, secretRef={"name": "hub", "key": "read"}))
    missing = told(world, "gated", "HubTokenMissing")
    assert "Secret hub, key read," in missing["message"]

    def publish(token: str) -> None:
        meta = {"name": "hub", "namespace": world.namespace}
        world.kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"read": token}})

    publish("wrong-token")
    refused = told(world, "gated", "HubTokenRefused", seconds=SECRET_SECONDS)
    assert "wrong-token" not in refused["message"]
    assert condition(world.kube.must_get("mdep", "gated", world.namespace), "Stalled")["status"] == "True"
    publish("strangers-token")
    told(world, "gated", "HubAccessDenied", seconds=SECRET_SECONDS)
    publish("good-token")
    wait_ready(world.kube, "gated", world.namespace, seconds=SECRET_SECONDS + 200)
    (pod,) = world.pods("gated")
    assert [each["restartCount"] for each in pod["status"]["initContainerStatuses"]] == [0, 0], "no restart was needed"
    seen = in_engine(world, pod, "import os; print(os.path.exists('/etc/fairlead-hub'), 'good-token' in str(os.environ))")
    assert seen.stdout.split() == ["False", "False"], seen
    logs = "".join(world.kube.logs(pod["metadata"]["name"], name, world.namespace) for name in ("fetch", "engine", "sidecar"))
    assert "-token" not in logs
    assert "downloading" in logs
    world.remove("gated")


REFUSED: dict[str, tuple[str, Object, str, str]] = {
    "no-token": (GATED, {}, "HubTokenRequired", "spec.model.secretRef"),
    "no-revision": (MODEL, {"revision": "v9"}, "ModelRevisionNotFound", "no revision v9"),
    "no-model": ("org/none", {}, "ModelNotFound", "has no model org/none, or it is private"),
    "volume-too-small": (HUGE, {}, "ModelVolumeFull", "in spec.model.cache.size"),
    "no-hub": (MODEL, {"endpoint": "http://127.0.0.1:9"}, "HubUnreachable", "http://127.0.0.1:9 does not answer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_told_apart(world: World, site: Site, name: str) -> None:
    site.set()
    model, more, reason, words = REFUSED[name]
    world.create(name, wait=None, replicas=1, model=site.model(model, **more))
    found = told(world, name, reason)
    assert words in found["message"]
    ready = condition(world.kube.must_get("mdep", name, world.namespace), "Ready")
    assert (ready["status"], ready["reason"]) == ("False", reason)
    world.remove(name)
