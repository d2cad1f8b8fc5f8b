"""A very large ModelDeployment: it works, no copy of it is kept anywhere, and what is too large is told in words that help."""

import json
from http.client import REQUEST_ENTITY_TOO_LARGE

import pytest

from fairlead.reconciler.kinds import MODEL_DEPLOYMENT
from tests.control_plane.conftest import Api
from tests.control_plane.end_state import unlike
from tests.control_plane.subject import Subject
from tests.control_plane.test_crd_admission import model_deployment
from tests.control_plane.world import World
from tests.objects import Object, Objects, Refused

pytestmark = pytest.mark.timeout(300)

KIB = 1024
MOST_NOTES = 1 * KIB
"""Bytes of annotations on an object that is not asked to carry the user's own: more would be a copy of the spec."""


def notes(kib: int) -> Object:
    """So many KiB of annotations for the pods: Deployment, ReplicaSets and pods carry them on."""
    return {"pod": {"annotations": {f"example.com/note-{number:02}": "x" * 8 * KIB for number in range(kib // 8)}}}


def far_away(kib: int) -> Object:
    """So many KiB of affinity, which the CRD does not bound."""
    zones = {"key": "zone", "operator": "NotIn", "values": [f"{number:063}" for number in range(kib * KIB // 66)]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [zones]}]}
    return {"pod": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}}


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("spec", [notes(200), far_away(1200)], ids=["200 KiB of annotations", "1200 KiB of affinity"])
def test_a_large_spec_works_and_no_copy_of_it_is_kept(world: World, spec: Object) -> None:
    world.create("chat", {"replicas": 1, **spec})
    world.make_ready("chat", 1)
    since = world.settled()
    for each in (world.mdep("chat"), *world.children("chat").values()):
        assert len(json.dumps(each["metadata"].get("annotations", {}))) < MOST_NOTES, each["kind"]
        assert len(json.dumps(each.get("status", {}))) < 4 * KIB, each["kind"]
    assert world.writes_within(6, since) == []


@pytest.mark.usefixtures("operator")
def test_more_annotations_than_kubernetes_takes_are_told(world: World) -> None:
    world.create("chat", {"replicas": 1})
    world.make_ready("chat", 1)
    world.settled()
    good = Subject(world).state()
    world.change("chat", notes(256))
    told = world.wait_condition("chat", "ConfigurationValid", status="False", reason="ApplyFailed")
    assert "spec.template.annotations: Too long: may not be more than 262144 bytes" in told["message"]
    world.settled()
    assert unlike(good, Subject(world).state()) == ""


def test_what_the_api_server_cannot_keep_it_refuses_itself(objects: Objects) -> None:
    with pytest.raises(Refused, match="etcdserver: request is too large"):
        objects.create(MODEL_DEPLOYMENT, "default", model_deployment(far_away(2000), name="huge"))
    with pytest.raises(Refused, match="limit is 3145728") as refused:
        objects.create(MODEL_DEPLOYMENT, "default", model_deployment(far_away(4000), name="huge"))
    assert refused.value.status == REQUEST_ENTITY_TOO_LARGE


def test_kubectl_tells_of_the_copy_that_it_makes_itself(api: Api) -> None:
    """Of more than 256 KiB: with --server-side it makes none."""
    body = json.dumps(model_deployment(far_away(300), name="huge"))
    done = api.kubectl("apply", "--dry-run=server", "-f", "-", stdin=body)
    assert done.returncode != 0
    assert "metadata.annotations: Too long: may not be more than 262144 bytes" in done.stderr
    done = api.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=body)
    assert done.returncode == 0, done.stderr
