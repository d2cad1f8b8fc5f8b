"""What `make bench-scale` reads out of an audit log."""

import pytest

from fairlead.reconciler.kinds import CHILDREN
from tests.bench.scale.figures import calls, percentile, stories
from tests.objects import Object

OPERATOR = "system:serviceaccount:fairlead-system:fairlead-operator"


def entry(verb: str, resource: str, name: str, second: float, *, user: str = OPERATOR, code: int = 200, sub: str = "") -> Object:
    time = f"2026-01-01T00:00:{second:09.6f}Z"
    about = {"resource": resource, "namespace": "n", "name": name, **({"subresource": sub} if sub else {})}
    return {
        "verb": verb,
        "user": {"username": user},
        "objectRef": about,
        "responseStatus": {"code": code},
        "requestReceivedTimestamp": time,
        "stageTimestamp": time,
    }


def life(name: str = "a") -> list[Object]:
    """Created at 1 s, with one more child at 2, 3 … 7 s."""
    named = {"configmaps": f"{name}-config-0123456789"}
    children = [
        entry("patch", kind.plural, named.get(kind.plural, name), 2.0 + place, code=201) for place, kind in enumerate(CHILDREN)
    ]
    return [entry("create", "modeldeployments", name, 1.0, user="somebody", code=201), *children]


def test_from_the_creation_to_the_last_child() -> None:
    (story,) = stories(life(), OPERATOR).values()
    assert story.seconds == len(CHILDREN)


@pytest.mark.parametrize(
    "more",
    [
        entry("patch", "services", "a", 30.0),
        entry("patch", "modeldeployments", "a", 30.0, sub="status"),
        entry("patch", "deployments", "a", 0.5, user="somebody"),
        entry("patch", "deployments", "a", 0.5, code=409),
        entry("create", "modeldeployments", "b", 0.5, code=422),
    ],
    ids=["a child that is written again", "status", "somebody else", "refused", "a creation that was refused"],
)
def test_what_does_not_count(more: Object) -> None:
    found = stories(sorted([*life(), more], key=lambda each: str(each["stageTimestamp"])), OPERATOR)
    assert {key: story.seconds for key, story in found.items()} == {("n", "a"): len(CHILDREN)}


@pytest.mark.parametrize("missing", range(1, len(CHILDREN) + 1))
def test_without_one_child_there_is_no_time(missing: int) -> None:
    told = life()
    del told[missing]
    (story,) = stories(told, OPERATOR).values()
    assert story.seconds is None


def test_calls_of_one_user() -> None:
    more = [
        entry("get", "modeldeployments", "a", 1.0),
        entry("patch", "modeldeployments", "a", 1.0, sub="status"),
        entry("get", "services", "a", 1.0, code=404),
        entry("watch", "pods", "", 1.0),
        entry("update", "leases", "fairlead-operator", 1.0),
        {**entry("get", "", "", 1.0), "objectRef": None},
    ]
    counted = calls([*life(), *more], OPERATOR)
    assert counted == {
        **{f"patch {kind.plural}": 1 for kind in CHILDREN},
        "get modeldeployments": 1,
        "patch modeldeployments/status": 1,
        "get services": 1,
    }


def test_percentiles() -> None:
    values = [float(each) for each in range(1, 101)]
    assert [percentile(values, each) for each in (0, 50, 95, 100)] == [1, 50, 95, 100]
    assert percentile([7.0], 95) == 7
