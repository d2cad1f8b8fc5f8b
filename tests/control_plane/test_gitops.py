"""Beside GitOps tools: what they apply stays as it is, no write answers another, and their marks stay off the children."""

import json
from pathlib import Path

import pytest

from fairlead.reconciler.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, POD, REPLICA_SET
from tests.control_plane.conftest import Api
from tests.control_plane.world import World
from tests.examples import files
from tests.gitops.appliers import APPLIERS, ARGOCD_CLIENT_SIDE, ARGOCD_SERVER_SIDE, FLUX, MARKS, Applier
from tests.objects import Object
from tests.tenant import soon

pytestmark = pytest.mark.usefixtures("operator")

ROUNDS = 5


def chat(world: World, **spec: object) -> Object:
    """What is in git: no replicas, which an autoscaler may change."""
    return {
        "apiVersion": "serving.fairlead.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "chat", "namespace": world.namespace, "labels": {"team": "search"}},
        "spec": {"model": {"uri": "pvc://models/tiny"}, **spec},
    }


def put(api: Api, world: World, applier: Applier, manifest: Object) -> None:
    applier.put(world.objects, api.kubectl, MODEL_DEPLOYMENT, manifest)


def versions(world: World) -> dict[str, str]:
    """The resource version of the ModelDeployment and of each child: another after each write, whoever's it was."""
    objects = {"ModelDeployment": world.mdep("chat"), **world.children("chat")}
    return {kind: each["metadata"]["resourceVersion"] for kind, each in objects.items()}


@pytest.mark.parametrize("applier", APPLIERS.values(), ids=APPLIERS)
def test_applying_again_and_again_writes_nothing(api: Api, world: World, applier: Applier) -> None:
    put(api, world, applier, chat(world))
    world.make_ready("chat")
    since = world.settled()
    before = versions(world)
    for _ in range(ROUNDS):
        put(api, world, applier, chat(world))
    world.settled()
    assert world.audit.writes(since) == []
    assert versions(world) == before
    # A commit is taken once, and that is that.
    put(api, world, applier, chat(world, engine={"maxModelLen": 1024}))
    soon("a rollout", lambda: world.condition("chat", "Progressing")["reason"] == "RolloutInProgress")
    world.settled()
    assert world.mdep("chat")["metadata"]["generation"] == 2
    assert world.must_child(DEPLOYMENT, "chat")["metadata"]["generation"] == 2


@pytest.mark.parametrize("other", [ARGOCD_SERVER_SIDE, ARGOCD_CLIENT_SIDE], ids=["server-side", "client-side"])
def test_two_tools_at_the_same_object_come_to_rest(api: Api, world: World, other: Applier) -> None:
    """They should not; where one takes over from the other, they are for a while."""
    both = (FLUX, other)
    for applier in both:
        put(api, world, applier, chat(world))
    world.make_ready("chat")
    for applier in both:
        put(api, world, applier, chat(world))
    since = world.settled()
    before = versions(world)
    for _ in range(ROUNDS):
        for applier in both:
            put(api, world, applier, chat(world))
    world.settled()
    assert world.audit.writes(since) == []
    assert versions(world) == before


@pytest.mark.parametrize("applier", APPLIERS.values(), ids=APPLIERS)
def test_replicas_that_are_not_in_git_are_left_alone(api: Api, world: World, applier: Applier) -> None:
    put(api, world, applier, chat(world))
    world.wait_children("chat")
    scaled = api.kubectl("scale", "mdep/chat", "--replicas=3", "--namespace", world.namespace)
    assert scaled.returncode == 0, scaled.stderr
    for _ in range(ROUNDS):
        put(api, world, applier, chat(world))
    assert world.mdep("chat")["spec"]["replicas"] == 3
    soon("three replicas", lambda: world.must_child(DEPLOYMENT, "chat")["spec"]["replicas"] == 3)


@pytest.mark.parametrize("applier", APPLIERS.values(), ids=APPLIERS)
def test_marks_stay_off_the_children(api: Api, world: World, applier: Applier) -> None:
    """A child that has one would be taken for something that is no longer in git, and pruned."""
    put(api, world, applier, chat(world))
    world.make_ready("chat")
    mark = {**applier.labels, **applier.annotations(chat(world))}
    assert any(each.startswith(MARKS) or f'"{value}"' in MARKS for each, value in mark.items()), "or the test is blind"
    children = world.children("chat")
    below = [*world.objects.list(REPLICA_SET, world.namespace), *world.pods("chat")]
    assert len(below) == 3
    for each in [*children.values(), *below]:
        whole = json.dumps(each)
        assert not [found for found in MARKS if found in whole], each["kind"]
        # Argo CD leaves alone what has an owner, whatever its labels (GetManagedLiveObjs in its gitops-engine).
        assert each["metadata"]["ownerReferences"], each["kind"]
        assert "team" not in each["metadata"]["labels"], "no other label travels either"


def test_a_mark_on_a_child_is_not_fought_over(api: Api, world: World) -> None:
    """Somebody's tool puts it there all the same: it stays, no child is written, and no pod gets it."""
    put(api, world, ARGOCD_CLIENT_SIDE, chat(world))
    world.make_ready("chat")
    since = world.settled()
    world.objects.merge(DEPLOYMENT, world.namespace, "chat", {"metadata": {"annotations": {"argocd.argoproj.io/x": "y"}}})
    world.settled()
    # To the API server another annotation is another generation of a Deployment; Ready waits until its controller has seen it.
    assert not [
        write for write in world.audit.writes(since) if "/modeldeployments/chat/status" not in write and "/events" not in write
    ]
    assert world.condition("chat", "Ready")["status"] == "True"
    assert world.must_child(DEPLOYMENT, "chat")["metadata"]["annotations"]["argocd.argoproj.io/x"] == "y"
    assert "argocd.argoproj.io/x" not in json.dumps(world.objects.list(POD, world.namespace))


def differs(api: Api, world: World, file: Path, *options: str) -> bool:
    done = api.kubectl("diff", *options, "--namespace", world.namespace, "-f", str(file))
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 1


@pytest.mark.usefixtures("kinds_of_others")
@pytest.mark.parametrize("file", files(), ids=lambda file: file.name)
def test_kubectl_diff_is_empty_after_apply(api: Api, world: World, tmp_path: Path, file: Path) -> None:
    """By either way of applying, once the operator has written what it writes."""
    assert differs(api, world, file), "before it is applied"
    for options in ((), ("--server-side", "--force-conflicts", "--field-manager=kustomize-controller")):
        applied = api.kubectl("apply", *options, "--namespace", world.namespace, "-f", str(file))
        assert applied.returncode == 0, applied.stderr
        world.settled()
        assert not differs(api, world, file, *options)
    text = file.read_text()
    if "kind: ModelDeployment" in text:
        changed = tmp_path / file.name
        changed.write_text(
            text.replace("kind: ModelDeployment\nmetadata:\n", "kind: ModelDeployment\nmetadata:\n  labels: {a: b}\n")
        )
        assert differs(api, world, changed), "a change shows"
