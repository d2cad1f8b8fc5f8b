"""One property after the other is changed or reverted, a child deleted, the operator killed: after each step all is well.

`make test` draws the same few steps each time. `make soak` draws others each time, for an hour.
"""

import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from fairlead.reconciler.kinds import CHILDREN, MODEL_DEPLOYMENT, REPLICA_SET, SERVICE_ACCOUNT, Kind
from tests.control_plane.changes import changed
from tests.control_plane.crd_fields import look, places
from tests.control_plane.end_state import unlike
from tests.control_plane.field_children import may_change
from tests.control_plane.invariants import holds
from tests.control_plane.process import OperatorProcess
from tests.control_plane.seeds import SEEDS
from tests.control_plane.subject import NAME, Subject
from tests.control_plane.world import World
from tests.objects import Object, Objects
from tests.waiting import until

SOAK = settings.get_profile("soak")
PRIORITY_CLASS = Kind("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses")
RUNTIME_CLASS = Kind("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses")
CHANGES_PER_OTHER_STEP = 4
CHANGES_AT_FIRST = 4
"""In each life. How many steps follow is Hypothesis' to draw, and other ones with each change of the CRD."""


class Life(RuleBasedStateMachine):
    """Of one ModelDeployment in a namespace of its own."""

    new_world: ClassVar[Callable[[], World]]
    operator: ClassVar[OperatorProcess]
    done: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.subject = Subject(Life.new_world())
        self.log = self.operator.log.stat().st_size
        self.subject.world.create(NAME, {"replicas": 1})
        self.mark = self.subject.settle()
        self.good, self.good_spec = self.subject.state(), self.subject.spec
        self.specs = [self.subject.spec]
        self.conditions: list[Object] = []
        self.look()

    # Once each, whatever is drawn afterwards: a machine that never deletes or kills shows little. The first of Hypothesis'
    # examples is the simplest one, which is nothing but refused changes of the first property.
    @initialize()
    def delete_each_child(self) -> None:
        for kind in () if self.done["deleted"] else CHILDREN:
            self.delete(kind)

    @initialize()
    def be_killed(self) -> None:
        if not self.done["killed"]:
            self.restart(signal.SIGKILL)

    @initialize()
    def be_invalid_and_valid_again(self) -> None:
        if not self.done["invalid"]:
            good = self.subject.spec
            self.put({**good, "engine": {"args": {"nosuchflag": 1}}, "rollout": {"maxStreamSeconds": 77}})
            assert not self.subject.valid
            self.put(good)

    @initialize(data=st.data())
    def be_changed(self, data: st.DataObject) -> None:
        for _ in range(CHANGES_AT_FIRST):
            self.change(data)

    # One rule with weights of its own: Hypothesis, left to itself, kills the operator three times as often as it changes a spec.
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        steps = [self.change] * CHANGES_PER_OTHER_STEP + [self.revert, self.kill, self.delete_child]
        data.draw(st.sampled_from(steps))(data)

    def change(self, data: st.DataObject) -> None:
        there = self.subject.spec
        what, spec = data.draw(changed(there).filter(lambda drawn: drawn[1] != there))
        note(what)
        refused = self.subject.offer(spec, dry_run=True)
        if refused is not None:
            assert "spec." in str(refused), "told by its path"
            assert self.subject.state() == self.good
            self.done["refused"] += 1
            return
        self.put(spec)

    def revert(self, data: st.DataObject) -> None:
        spec = data.draw(st.sampled_from(self.specs))
        if spec != self.subject.spec:
            self.put(spec)
            self.done["reverted"] += 1

    def delete_child(self, data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(CHILDREN))
        if self.subject.valid:
            self.delete(kind)

    def delete(self, kind: Kind) -> None:
        world = self.subject.world
        child = world.must_child(kind, NAME)["metadata"] if world.child(kind, NAME) else None
        if child is None:  # there is no ServiceAccount of ours where the spec names another
            return
        self.still()
        world.objects.delete(kind, world.namespace, child["name"])

        def again() -> bool:
            found = world.objects.get(kind, world.namespace, child["name"])
            return found is not None and bool(found["metadata"]["uid"] != child["uid"])

        until(f"{kind.name} is there again", again, every=0.05)
        # The garbage collector takes the ReplicaSets of a Deployment seconds later, and their pods with them.
        until("what belonged to it is gone", lambda: not self.left(child["uid"]), every=0.05)
        self.settle()
        assert unlike(self.good, self.subject.state()) == ""
        self.done["deleted"] += 1

    def left(self, uid: str) -> list[str]:
        """The ReplicaSets that still belong to what had this uid."""
        sets = self.subject.world.objects.list(REPLICA_SET, self.subject.world.namespace)
        return [each["metadata"]["name"] for each in sets if uid in {own["uid"] for own in each["metadata"]["ownerReferences"]}]

    def kill(self, data: st.DataObject) -> None:
        self.restart(data.draw(st.sampled_from([signal.SIGKILL, signal.SIGTERM])))

    def restart(self, how: signal.Signals) -> None:
        self.still()
        self.operator.stop(how)
        self.operator.start()
        visits = 'fairlead_reconcile_total{result="ok"}'
        until("it has been visited", lambda: self.operator.metric(visits) >= 1, every=0.1)
        before = self.mark
        self.settle()
        assert self.subject.writes(before) == [], "nothing had changed"
        self.done["killed"] += 1

    def put(self, spec: Object) -> None:
        """Have that spec, and see that what comes of it is what would come of it at the first time."""
        self.still()
        assert self.subject.offer(spec, dry_run=False) is None
        self.settle()
        if self.subject.spec not in self.specs:
            self.specs.append(self.subject.spec)
        if self.subject.valid:
            now = self.subject.state()
            touched = {name.partition(" ")[0] for name in now.keys() | self.good.keys() if now.get(name) != self.good.get(name)}
            assert touched <= may_change(self.good_spec, self.subject.spec)
            self.good, self.good_spec = now, self.subject.spec
            self.done["changed"] += 1
        else:
            # A ConfigMap more may be there, which no pod reads.
            now = self.subject.state()
            assert unlike(self.good, {name: now.get(name) for name in self.good}) == "", "the last good children"
            assert all(name.startswith("ConfigMap ") for name in now.keys() - self.good.keys())
            self.done["invalid"] += 1
        self.same_as_fresh()

    def same_as_fresh(self) -> None:
        """Another one, made with this spec at once, has the same children and the same status."""
        fresh = Subject(Life.new_world())
        fresh.world.create(NAME, self.subject.spec)
        fresh.settle()
        if self.subject.valid:
            assert unlike(self.subject.state(), fresh.state()) == ""
            assert self.subject.told() == fresh.told()
        else:
            why = [each["ConfigurationValid"] for each in map(_verdicts, (self.subject, fresh))]
            assert why[0] == why[1]
        fresh.world.objects.delete(MODEL_DEPLOYMENT, fresh.world.namespace, NAME)

    def settle(self) -> None:
        self.mark = self.subject.settle()
        self.look()

    def look(self) -> None:
        holds(self.subject, self.conditions)
        self.conditions = self.subject.live["status"]["conditions"]

    def still(self) -> None:
        """Since it settled last nothing was written; the operator runs, and its log has no traceback."""
        assert self.subject.writes(self.mark) == []
        assert self.operator.running
        assert self.operator.tracebacks(self.log) == []

    def teardown(self) -> None:
        world = self.subject.world
        self.still()
        world.objects.delete(MODEL_DEPLOYMENT, world.namespace, NAME)


def _verdicts(subject: Subject) -> dict[str, tuple[str, str, str]]:
    return {each["type"]: (each["status"], each["reason"], each["message"]) for each in subject.told()["conditions"]}


@pytest.fixture
def classes(objects: Objects) -> Iterator[None]:
    """What the specs of the seeds name beside a namespace's own objects: without these their pods could not be made."""
    wanted: list[tuple[Kind, str, Object]] = [(PRIORITY_CLASS, name, {"value": 1}) for name in named("priorityClassName")]
    wanted += [(RUNTIME_CLASS, name, {"handler": name}) for name in named("runtimeClassName")]
    # One of the examples, which other tests apply, brings a class of its own.
    made = [(kind, name, body) for kind, name, body in wanted if objects.get(kind, None, name) is None]
    for kind, name, body in made:
        objects.create(kind, None, {"metadata": {"name": name}, **body})
    yield
    for kind, name, _ in made:
        objects.delete(kind, None, name)


def named(field: str) -> set[str]:
    """The names that the seeds have in a field of spec.pod."""
    return {look(spec, place) for spec in SEEDS.values() for place in places(spec, ("spec", "pod", field))}


@pytest.mark.timeout(0)
@pytest.mark.usefixtures("classes")
def test_after_each_step_all_is_as_it_should_be(
    new_world: Callable[[], World], another_operator: Callable[..., OperatorProcess]
) -> None:
    def furnished() -> World:
        world = new_world()
        for name in named("serviceAccountName"):
            world.objects.create(SERVICE_ACCOUNT, world.namespace, {"metadata": {"name": name}})
        return world

    operator = another_operator("operator")
    operator.start()
    Life.new_world, Life.operator, Life.done = furnished, operator, Counter()
    soak = settings.get_current_profile_name() == "soak"
    few = settings(
        settings.default,
        max_examples=SOAK.max_examples if soak else 3,
        stateful_step_count=SOAK.stateful_step_count if soak else 12,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Life, settings=few)
    assert operator.stop() == 0
    sys.stdout.write(f"{dict(Life.done)}\n")
    assert {"invalid", "refused", "deleted", "killed"} <= Life.done.keys(), Life.done
    assert Life.done["changed"] > CHANGES_AT_FIRST, Life.done
