"""The autoscaler in the operator, on a real API server: agents tell loads over HTTP, and replicas come and go."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fairlead.reconciler.kinds import DEPLOYMENT, MODEL_DEPLOYMENT
from tests.control_plane.conftest import Api
from tests.control_plane.process import OperatorProcess
from tests.control_plane.served import NAME, Served
from tests.control_plane.test_pods import unschedulable
from tests.control_plane.world import World
from tests.objects import Object
from tests.tenant import soon

pytestmark = pytest.mark.usefixtures("operator")
QUIET = {"quietSeconds": 30, "stepSeconds": 2}
"""The shortest that a spec may have."""
DOWN_SECONDS = 120.0


@pytest.fixture
def served(world: World) -> Iterator[Served]:
    with ExitStack() as stack:
        yield Served(world, stack)


def events(served: Served) -> list[tuple[str, str]]:
    listed = served.world.objects.request("GET", f"/apis/events.k8s.io/v1/namespaces/{served.world.namespace}/events")["items"]
    return [(each["reason"], each["note"]) for each in listed if each["regarding"]["kind"] == MODEL_DEPLOYMENT.name]


def test_up_with_the_queue_and_down_again_when_it_was_quiet(served: Served, operator: OperatorProcess) -> None:
    served.create(**QUIET)
    served.decided()
    served.busy()
    soon("another replica", lambda: served.asked > 1)
    reached = served.asked
    served.serve(reached)
    soon("it is told", lambda: served.status["desired"] == reached)
    assert served.status["changes"][-1]["before"] == 1
    assert served.world.mdep(NAME)["spec"]["replicas"] == 1, "the user's own field is left alone"
    labels = f'{{name="{NAME}",namespace="{served.world.namespace}"}}'
    soon("the metric follows", lambda: operator.metric(f"fairlead_autoscaler_desired_replicas{labels}") == reached)
    served.idle()
    soon("down to one", lambda: served.asked == 1, seconds=DOWN_SECONDS)
    served.serve(1)
    soon("the steps are told", lambda: served.status["desired"] == 1)
    assert all(each["after"] == each["before"] - 1 for each in served.status["changes"] if each["reason"] == "DemandLow")
    told = [note for reason, note in events(served) if reason == "DemandLow"]
    assert any("-> 1: demand was for" in note for note in told)


def test_a_load_that_stays_is_written_once(served: Served) -> None:
    served.create()
    served.decided()
    for load in served.there:
        load.running, load.rate, load.duty = 1, 40.0, 95
    mark = served.world.settled(12.0)
    assert served.world.writes_within(20.0, mark) == []
    served.busy()
    soon("it is awake all the same", lambda: served.asked > 1)


def test_agents_that_say_nothing_new_hold(served: Served) -> None:
    served.create(2, **QUIET)
    served.decided()
    for load in served.there:
        load.frozen = True
    served.world.wait_condition(NAME, "Autoscaled", status="False", reason="MetricsStale")
    mark = served.world.settled()
    assert [each for each in served.world.writes_within(40.0, mark) if "/deployments/" in each] == []
    assert served.asked == 2
    for load in served.there:
        load.frozen = False
    soon("what is heard again counts", lambda: served.asked == 1, seconds=DOWN_SECONDS)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_in_the_middle_makes_no_jump(served: Served, operator: OperatorProcess, how: signal.Signals) -> None:
    served.create()
    served.decided()
    served.busy()
    soon("another replica", lambda: served.asked > 1)
    operator.stop(how)
    reached = served.asked
    served.idle()
    mark = served.world.audit.mark()
    operator.start()
    looks = f'fairlead_autoscaler_decisions_total{{name="{NAME}",namespace="{served.world.namespace}",'
    soon("it has looked", lambda: looks in operator.answer("/metrics")[1])
    served.serve(reached)
    served.world.settled(5.0)
    assert [each for each in served.world.audit.writes(mark) if "/deployments/" in each] == []
    assert served.asked == reached


def scale(api: Api, world: World, replicas: int) -> tuple[int, str]:
    done = api.kubectl("scale", "mdep", NAME, "-n", world.namespace, f"--replicas={replicas}")
    return done.returncode, done.stderr


def test_kubectl_scale_is_refused_while_the_operator_sets_the_number(api: Api, served: Served) -> None:
    served.create()
    served.decided()
    code, words = scale(api, served.world, 3)
    assert code != 0
    assert "spec.replicas" in words
    assert "set spec.autoscaling.mode to Recommend first" in words
    assert served.asked == 1
    served.world.change(NAME, {"replicas": 3, "autoscaling": {"mode": "Recommend"}})
    soon("in one change with the mode it is taken", lambda: served.asked == 3)


def test_who_only_recommends_says_it_and_leaves_kubectl_scale_alone(api: Api, served: Served) -> None:
    served.create(mode="Recommend")
    served.decided()
    served.busy()
    soon("it would add one", lambda: served.status["desired"] > 1)
    told = served.world.wait_condition(NAME, "Autoscaled", status="False", reason="RecommendedOnly")
    assert "replicas would be" in told["message"]
    assert served.asked == 1
    assert scale(api, served.world, 2) == (0, "")
    served.serve(2)
    soon("the user's number", lambda: served.asked == 2)


def test_another_autoscaler_has_the_scale_subresource_to_itself(api: Api, served: Served) -> None:
    served.world.create(NAME, {"replicas": 1, "autoscaling": {"mode": "External"}})
    served.serve(1)
    served.world.settled()
    for number in (3, 2):
        path = MODEL_DEPLOYMENT.path(served.world.namespace, NAME, "scale")
        found = served.world.objects.request("GET", path)
        # Whatever the version: the operator may be writing the status meanwhile.
        found["metadata"].pop("resourceVersion")
        served.world.objects.request("PUT", path, {**found, "spec": {"replicas": number}})
        served.serve(number)
    assert (served.asked, served.status) == (2, {})
    assert served.world.condition(NAME, "Autoscaled") == {}
    scaled = served.world.objects.request("GET", MODEL_DEPLOYMENT.path(served.world.namespace, NAME, "scale"))
    assert scaled["status"]["selector"] == f"serving.fairlead.dev/model-deployment={NAME}", "what an HPA counts pods by"
    assert scale(api, served.world, 0) == (0, "")
    served.serve(0)


def test_a_hand_on_the_deployment_is_put_right(served: Served) -> None:
    served.create(2)
    served.decided()
    served.world.objects.merge(DEPLOYMENT, served.world.namespace, NAME, {"spec": {"replicas": 4}})
    soon("as was decided", lambda: served.asked == 2)


def test_a_replica_without_a_node_is_told_and_not_chased(served: Served) -> None:
    served.create()
    served.decided()
    served.busy()
    soon("another replica", lambda: served.asked > 1)
    reached = served.asked
    waiting = [pod for pod in served.world.wait_pods(NAME, reached) if pod["metadata"]["name"] not in served.loads]
    for pod in waiting:
        unschedulable(served.world, pod)
    told = served.world.wait_condition(NAME, "Autoscaled", status="False", reason="NoCapacity")
    assert "Insufficient nvidia.com/gpu" in told["message"] or waiting[0]["metadata"]["name"] in told["message"]
    served.busy(waiting=60)
    mark = served.world.audit.mark()
    assert [each for each in served.world.writes_within(10.0, mark) if "/deployments/" in each] == []
    assert served.asked == reached
    assert ("Warning", "NoCapacity") in {(each["type"], each["reason"]) for each in _events(served.world)}
    # A node comes.
    served.serve(reached)
    served.busy(waiting=60)
    soon("it is over", lambda: served.world.condition(NAME, "Autoscaled")["reason"] != "NoCapacity")


def _events(world: World) -> list[Object]:
    items: list[Object] = world.objects.request("GET", f"/apis/events.k8s.io/v1/namespaces/{world.namespace}/events")["items"]
    return items


def test_without_autoscaling_any_more_the_spec_counts_again(served: Served) -> None:
    served.create(2)
    served.decided()
    served.world.change(NAME, {"replicas": 1, "autoscaling": None})
    served.serve(1)
    soon("nothing of it is left", lambda: not served.status and not served.world.condition(NAME, "Autoscaled"))


def test_a_spec_that_cannot_be_used_keeps_the_number(served: Served) -> None:
    served.create(2, **QUIET)
    served.decided()
    served.world.change(NAME, {"engine": {"args": {"nosuchflag": "1"}}})
    served.world.wait_condition(NAME, "ConfigurationValid", status="False", reason="UnknownEngineFlag")
    served.world.settled(4.0)
    assert served.asked == 2
