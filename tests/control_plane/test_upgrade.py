"""From the last release to this tree, with models that serve: chart, CRD and operator change, and no pod does unless it was told.

A change of what pods are made of replaces every replica of every model on the next upgrade. Where that is meant, a line under
[Unreleased] in CHANGELOG.md says so, with the words of ANNOUNCED; the test wants the line then, and does not want it otherwise.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from fairlead.reconciler.diff import differences
from fairlead.reconciler.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, REPLICA_SET
from fairlead.resources.names import APPLIED_HASH_ANNOTATION, FIELD_MANAGER
from tests.audit import Audit
from tests.cluster import tools
from tests.cluster.controlplane import control_plane_alone
from tests.cluster.layout import cache_root
from tests.control_plane import released
from tests.control_plane.conftest import Api
from tests.control_plane.installed import operator_of_chart
from tests.control_plane.process import ROOT
from tests.control_plane.world import World
from tests.objects import Object, Objects
from tests.unit.chart.helm import CHART, VALUES
from tests.waiting import until

ANNOUNCED = "**Replicas are replaced**"
SYSTEM = "fairlead-system"
NAMES = [each["metadata"]["name"] for each in yaml.safe_load_all(released.MODELS.read_text())]


@dataclass(frozen=True)
class Seen:
    """What must not change of one model."""

    template: Object
    generation: int
    sets: list[str]
    pods: dict[str, str]
    """Uid by name."""


@dataclass(frozen=True)
class Upgrade:
    """The cluster after it, and the models before it."""

    world: World
    before: dict[str, Seen]
    writes: list[str]
    """Of the new operator."""


def seen(world: World, name: str) -> Seen:
    deployment = world.must_child(DEPLOYMENT, name)
    sets = [
        each["metadata"]["name"]
        for each in world.objects.list(REPLICA_SET, world.namespace)
        if each["metadata"]["ownerReferences"][0]["uid"] == deployment["metadata"]["uid"]
    ]
    pods = {each["metadata"]["name"]: each["metadata"]["uid"] for each in world.pods(name)}
    return Seen(deployment["spec"]["template"], deployment["metadata"]["generation"], sorted(sets), pods)


def helm(api: Api, *args: str) -> None:
    binary = tools.ensure(cache_root(), ["helm"]).path("helm")
    env = {**os.environ, "KUBECONFIG": str(api.kubeconfig)}
    # Nothing is waited for: no kubelet starts the operator's pods here.
    command = [str(binary), *args, "--namespace", SYSTEM, "--wait=hookOnly"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def serve_as_released(api: Api, world: World) -> None:
    """Models and what the released operator made of them, all pods ready."""
    made = api.kubectl("apply", "-f", str(released.MODELS))
    assert made.returncode == 0, made.stderr
    for name in NAMES:
        children = released.children(name, world.mdep(name)["metadata"]["uid"])
        sent = {"apiVersion": "v1", "kind": "List", "items": children}
        applied = api.kubectl("apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "-f", "-", stdin=json.dumps(sent))
        assert applied.returncode == 0, applied.stderr
    for name in NAMES:
        for pod in world.wait_pods(name, world.mdep(name)["spec"]["replicas"]):
            world.run(pod, ready=True)


@pytest.fixture(scope="module")
def upgrade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    folder = tmp_path_factory.mktemp("upgrade")
    with control_plane_alone(folder / "plane") as plane:
        api, objects = Api(plane), Objects(plane.api)
        helm(api, "install", "fairlead", str(released.chart(folder / "chart")), "--create-namespace")
        until("the CRD is served", lambda: api.kubectl("get", "mdep", "-A").returncode == 0)
        objects.request("POST", "/api/v1/namespaces", {"metadata": {"name": released.NAMESPACE}})
        audit = Audit(plane.audit_log, f"system:serviceaccount:{SYSTEM}:fairlead-operator", released.NAMESPACE)
        world = World(objects, audit, released.NAMESPACE)
        serve_as_released(api, world)
        before = {name: seen(world, name) for name in NAMES}

        helm(api, "upgrade", "fairlead", str(CHART), "--values", str(VALUES / "minimal.yaml"))
        operator = operator_of_chart(plane, objects, folder, SYSTEM)
        operator.start()
        try:
            for name in NAMES:
                until(f"{name} was visited", lambda name=name: visited(world, name))  # type: ignore[misc]
            world.settled()
        finally:
            assert operator.stop() == 0
        yield Upgrade(world, before, audit.writes(0))
        objects.close()


def visited(world: World, name: str) -> bool:
    mdep = world.mdep(name)
    return bool((mdep.get("status") or {}).get("observedGeneration") == mdep["metadata"]["generation"])


def unreleased() -> str:
    text = (ROOT / "CHANGELOG.md").read_text()
    return text.partition("## [Unreleased]\n")[2].partition("\n## [")[0]


def test_no_pod_changes_unless_the_changelog_says_so(upgrade: Upgrade) -> None:
    now = {name: seen(upgrade.world, name) for name in NAMES}
    changed = {name: differences(now[name].template, was.template) for name, was in upgrade.before.items() if now[name] != was}
    assert bool(changed) == (ANNOUNCED in unreleased()), (
        f"an upgrade would replace the replicas of {', '.join(changed)}: "
        f"{sorted({'.'.join(path) for paths in changed.values() for path in paths})}. Where that is meant, write a line with "
        f"{ANNOUNCED} and why under [Unreleased] in CHANGELOG.md"
        if changed
        else f"no replica is replaced: take the line with {ANNOUNCED} out of [Unreleased] in CHANGELOG.md"
    )


@pytest.mark.parametrize("name", NAMES)
def test_pods_that_need_not_change_are_the_same_ones(upgrade: Upgrade, name: str) -> None:
    """Where the template is the same there is no other ReplicaSet and no other pod, whatever else was written."""
    was, now = upgrade.before[name], seen(upgrade.world, name)
    if now.template == was.template:
        assert now == was
    else:
        assert set(was.pods) <= set(now.pods), "old ones serve until new ones are ready, which nobody made them here"


@pytest.mark.parametrize("name", NAMES)
def test_the_new_operator_takes_the_old_objects_for_its_own(upgrade: Upgrade, name: str) -> None:
    mdep = upgrade.world.mdep(name)
    conditions = {each["type"]: each for each in mdep["status"]["conditions"]}
    assert conditions["ConfigurationValid"]["status"] == "True", conditions["ConfigurationValid"]["message"]
    assert conditions["ReplicasAvailable"]["status"] == "True", conditions["ReplicasAvailable"]["message"]
    for child in upgrade.world.wait_children(name).values():
        assert child["metadata"]["ownerReferences"][0]["uid"] == mdep["metadata"]["uid"]


@pytest.mark.parametrize("name", NAMES)
def test_a_child_that_is_wanted_as_before_is_not_written(upgrade: Upgrade, name: str) -> None:
    """The hash of what is wanted tells which those are."""
    live = upgrade.world.children(name)
    for was in released.children(name, upgrade.world.mdep(name)["metadata"]["uid"]):
        hashes = [each["metadata"]["annotations"][APPLIED_HASH_ANNOTATION] for each in (was, live[was["kind"]])]
        if hashes[0] == hashes[1]:
            path = f"/{was['kind'].lower()}s/{was['metadata']['name']}?"
            assert not [write for write in upgrade.writes if path in write and "/status" not in write]


def test_the_crd_is_this_trees(upgrade: Upgrade) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{MODEL_DEPLOYMENT.plural}.{MODEL_DEPLOYMENT.group}"
    found = upgrade.world.objects.request("GET", path)
    wanted = yaml.safe_load((ROOT / "crds" / "modeldeployments.serving.fairlead.dev.yaml").read_text())
    (version,), (other,) = found["spec"]["versions"], wanted["spec"]["versions"]
    assert version["schema"] == other["schema"]
