"""The two walks over a child's leaves: ours come back, each with a single write, and those of others stay.

The leaves are walked out of the manifests as the builders render them and of the live objects as the API server has completed
them, so that a field which a builder gains is tested with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fairlead.reconciler.kinds import DEPLOYMENT, SERVICE_ACCOUNT
from tests.drift.cases import ADDRESS, FIXED, FOREIGN_ENTRIES, FOREIGN_ITEMS, UNCHANGEABLE
from tests.drift.child import Child
from tests.drift.leaves import ABSENT, Path, dotted, foreign, leaves, look, others, place
from tests.objects import Object
from tests.tenant import soon

BACK_SECONDS = 20.0
COLLECTED_SECONDS = 60.0
"""A child with another owner's uid is the garbage collector's first, which looks for new kinds every 30 s."""
MOST_NEEDLESS = 4
"""A controller that writes a status just then may come first, and seldom does so twice."""
QUIET_SECONDS = 0.5
"""A write too many would answer the event of the one before it, which kopf passes on after 0.1 s."""


@dataclass(frozen=True)
class Drift:
    """A leaf of ours that has been changed by hand."""

    child: Child
    path: Path
    was: Any
    value: Any
    mark: int

    @property
    def writes_needed(self) -> int:
        """One; or three where a port got another key.

        For server-side apply that is a foreign port which has our port's name: the apply is refused, the port put right, and
        applied.
        """
        renumbered = self.path[-3:-2] == ("ports",) and self.path[-1] in {"port", "containerPort", "protocol"}
        return 3 if renumbered and self.child.kind.name in {"Service", "Deployment"} else 1

    def back(self) -> bool:
        live = self.child.get()
        again = place(self.child.manifest, self.path, live) if live else None
        there = live is not None and again is not None and look(live, again) == self.was
        return there and len(self.child.writes(self.mark)) >= self.writes_needed + self.child.needless(self.mark)

    def wait_back(self) -> None:
        within = COLLECTED_SECONDS if self.path[-1] == "uid" else BACK_SECONDS
        soon(f"{self.child.kind.name} {dotted(self.path)} is {self.was!r} again after {self.value!r}", self.back, within)
        written = self.child.writes(self.mark)
        needless = self.child.needless(self.mark)
        assert needless <= MOST_NEEDLESS, written
        assert len(written) == self.writes_needed + needless, f"{dotted(self.path)}: {written}"


def owned_leaves_come_back(twins: Sequence[Child]) -> None:
    """Change each leaf that we own by hand: each comes back, with no more writes than it needs.

    The twins are the same child of ModelDeployments that differ in nothing but their names. In one object a leaf is changed only
    when the last one is back, for what is applied because of one leaf brings back all others too; so one twin is changed while
    the others come back.
    """
    marks = [child.tenant.audit.mark() for child in twins]
    drifts: list[Drift] = []
    unchangeable: dict[str, list[str]] = {}
    paths = [path for path, _ in leaves(twins[0].manifest) if dotted(path) not in ADDRESS]
    for first in range(0, len(paths), len(twins)):
        begun = []
        for child, path in zip(twins, paths[first : first + len(twins)], strict=False):
            drift, refusals = changed_by_hand(child, path)
            if drift is None:
                unchangeable[dotted(path)] = refusals
            else:
                begun.append(drift)
        for drift in begun:
            drift.wait_back()
        drifts += begun
    assert set(unchangeable) == set(UNCHANGEABLE.get(twins[0].kind, {})), unchangeable
    assert len(drifts) > len(FOREIGN_ENTRIES), "the walk has found next to nothing"
    twins[0].tenant.settled(QUIET_SECONDS)
    for child, mark in zip(twins, marks, strict=True):
        needed = sum(drift.writes_needed for drift in drifts if drift.child is child)
        assert len(child.writes(mark)) == needed + child.needless(mark), "some leaf has been written again after it was back"


def changed_by_hand(child: Child, path: Path) -> tuple[Drift | None, list[str]]:
    """Give a leaf of the manifest another value in the live object; None, and why, where the API server takes none."""
    live = child.must_get()
    there = place(child.manifest, path, live)
    assert there is not None, dotted(path)
    was = look(live, there)
    mark = child.tenant.audit.mark()
    value, refusals = child.try_values(there, others(path, was))
    return (None if value is None else Drift(child, path, was, value, mark)), refusals


def owned_values(child: Child, live: Object) -> dict[str, Any]:
    """What is in a live object where we own a leaf."""
    places = {dotted(path): place(child.manifest, path, live) for path, _ in leaves(child.manifest)}
    return {path: ABSENT if there is None else look(live, there) for path, there in places.items()}


def strategy_comes_back(child: Child) -> None:
    """The one part of which the API server takes no single leaf."""
    assert child.kind == DEPLOYMENT
    before = child.must_get()["spec"]["strategy"]
    child.write(("spec", "strategy"), {"type": "Recreate"})
    soon("the strategy is ours again", lambda: child.must_get()["spec"]["strategy"] == before)


def foreign_leaves_stay(child: Child) -> None:
    """Set everything that is not ours, and add to whatever can be added to; all of it outlives a write of the operator's."""
    objects, namespace = child.tenant.objects, child.tenant.namespace
    account = soon("the namespace has its default account", lambda: objects.get(SERVICE_ACCOUNT, namespace, "default"))
    mark = child.tenant.audit.mark()
    set_by_hand: dict[Path, Any] = {}
    refused: list[str] = []
    # What the API server has filled in.
    untouched = {key: value for key, value in child.must_get().items() if key not in {"metadata", "status"}}
    for path, was in foreign(untouched, child.manifest):
        value, _ = child.try_values(path, others(path, was))
        if value is None:
            refused.append(dotted(path))
        else:
            set_by_hand[path] = value
    # What nobody has filled in yet: an entry in each map, an item in each list.
    for path, value in additions(child.manifest):
        where = place(child.manifest, path[:-1], child.must_get())
        assert where is not None, dotted(path)
        index = path[-1] if isinstance(path[-1], str) else len(look(child.must_get(), where))
        if path[-2] == "ownerReferences":  # of an object that there is: the garbage collector takes off any other
            value = {**value, "uid": account["metadata"]["uid"]}  # noqa: PLW2901
        child.write((*where, index), value)
        set_by_hand[*where, index] = value
    assert set(refused) == set(FIXED.get(child.kind, ())), refused
    assert len(set_by_hand) >= 3, set_by_hand
    # Something of ours is changed as well, so that the whole child is applied anew.
    label = ("metadata", "labels", "app.kubernetes.io/instance")
    child.write(label, "drifted")
    soon("our label is back", lambda: look(child.must_get(), label) == child.name)
    child.tenant.settled(QUIET_SECONDS)
    live = child.must_get()
    lost = {dotted(path): (value, look(live, path)) for path, value in set_by_hand.items() if not kept(value, look(live, path))}
    assert lost == {}, lost
    written = child.writes(mark)
    assert len(written) == 1, f"the label alone is worth a write: {written}"


def additions(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """For each map and keyed list of a manifest: the place of something new in it, and the thing."""
    if isinstance(value, list):
        if at[-1] in FOREIGN_ITEMS:
            item = FOREIGN_ITEMS[str(at[-1])]
            yield (*at, len(value)), item
        for index, each in enumerate(value):
            yield from additions(each, (*at, index))
    elif isinstance(value, dict):
        if at and at[-1] in FOREIGN_ENTRIES:
            yield (*at, "example.com/foreign"), FOREIGN_ENTRIES[str(at[-1])]
        for key, each in value.items():
            yield from additions(each, (*at, key))


def kept(value: Any, seen: Any) -> bool:
    """Whether what was written is still there; the API server may have added defaults."""
    if isinstance(value, dict) and isinstance(seen, dict):
        return all(kept(each, seen.get(key, ABSENT)) for key, each in value.items())
    return bool(value == seen)
