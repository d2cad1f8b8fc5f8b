"""Where a live object differs from what is wanted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.reconciler.diff import clashes, differences

Object = dict[str, Any]


def container(**fields: Any) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "engine", **fields}]}}}}


SAME: dict[str, tuple[Object, Object]] = {
    "nothing wanted": ({}, {"spec": {"a": 1}}),
    "a foreign key": ({"a": 1}, {"a": 1, "b": 2}),
    "a foreign label": ({"metadata": {"labels": {"a": "1"}}}, {"metadata": {"labels": {"a": "1", "b": "2"}}}),
    "a foreign item among keyed ones": (
        container(env=[{"name": "A", "value": "1"}]),
        container(env=[{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]),
    ),
    "cpu in other words": (container(resources={"requests": {"cpu": "1000m"}}), container(resources={"requests": {"cpu": "1"}})),
    "memory in other words": (
        container(resources={"limits": {"memory": "1024Mi"}}),
        container(resources={"limits": {"memory": "1Gi"}}),
    ),
    "a size in other words": ({"emptyDir": {"sizeLimit": "1024Ki"}}, {"emptyDir": {"sizeLimit": "1Mi"}}),
    "an empty list that the API server drops": ({"tolerations": []}, {}),
    "an empty object that the API server drops": ({"annotations": {}}, {}),
    "a zero that the API server drops": ({"minReadySeconds": 0}, {}),
    "an empty env value": (container(env=[{"name": "A", "value": ""}]), container(env=[{"name": "A"}])),
    "a default within an atomic list": (
        {"ingress": [{"ports": [{"port": 1}]}]},
        {"ingress": [{"ports": [{"port": 1, "protocol": "TCP"}]}]},
    ),
    "ports in another order": (
        container(ports=[{"containerPort": 1}, {"containerPort": 2, "protocol": "TCP"}]),
        container(ports=[{"containerPort": 2, "protocol": "TCP"}, {"containerPort": 1, "protocol": "TCP"}]),
    ),
}

OTHER: dict[str, tuple[Object, Object, list[str]]] = {
    "a value": ({"a": 1}, {"a": 2}, ["a"]),
    "a missing leaf": ({"a": {"b": 1}}, {"a": {}}, ["a.b"]),
    "a missing object": ({"a": {"b": 1}}, {}, ["a"]),
    "true is not 1": ({"a": True}, {"a": 1}, ["a"]),
    "80 is not '80'": ({"targetPort": 80}, {"targetPort": "80"}, ["targetPort"]),
    "a zero where it means something": ({"replicas": 0}, {"replicas": 1}, ["replicas"]),
    "a missing container": (
        container(image="a"),
        {"spec": {"template": {"spec": {"containers": [{"name": "other"}]}}}},
        ["spec.template.spec.containers.engine"],
    ),
    "an env value": (
        container(env=[{"name": "A", "value": "1"}]),
        container(env=[{"name": "A", "value": "2"}]),
        ["spec.template.spec.containers.engine.env.A.value"],
    ),
    "another quantity": (
        container(resources={"limits": {"memory": "1Gi"}}),
        container(resources={"limits": {"memory": "1G"}}),
        ["spec.template.spec.containers.engine.resources.limits.memory"],
    ),
    "more arguments": ({"args": ["a"]}, {"args": ["a", "b"]}, ["args"]),
    "another argument": ({"args": ["a", "b"]}, {"args": ["a", "c"]}, ["args.1"]),
    "a key more in a Service's selector": (
        {"spec": {"selector": {"a": "1"}}},
        {"spec": {"selector": {"a": "1", "b": "2"}}},
        ["spec.selector.b"],
    ),
    "a pod selector that is no longer empty": (
        {"podSelector": {}},
        {"podSelector": {"matchLabels": {"a": "1"}}},
        ["podSelector.matchLabels"],
    ),
    "an item more in an atomic list": ({"ingress": [{"from": []}]}, {"ingress": [{"from": []}, {}]}, ["ingress"]),
    "a key more within an atomic list": (
        {"ingress": [{"ports": []}]},
        {"ingress": [{"ports": [], "from": [{}]}]},
        ["ingress.0.from"],
    ),
    "another protocol within an atomic list": (
        {"ingress": [{"ports": [{"port": 1}]}]},
        {"ingress": [{"ports": [{"port": 1, "protocol": "UDP"}]}]},
        ["ingress.0.ports.0.protocol"],
    ),
    "an object that is a word": ({"a": {"b": 1}}, {"a": "b"}, ["a"]),
    "a list that is a word": ({"a": ["b"]}, {"a": "b"}, ["a"]),
    "another owner": (
        {"metadata": {"ownerReferences": [{"uid": "1", "controller": True}]}},
        {"metadata": {"ownerReferences": [{"uid": "1"}, {"uid": "2", "controller": True}]}},
        ["metadata.ownerReferences.1.controller"],
    ),
}


@pytest.mark.parametrize(("wanted", "live"), SAME.values(), ids=SAME)
def test_no_write_is_needed(wanted: Object, live: Object) -> None:
    assert differences(wanted, live) == []


@pytest.mark.parametrize(("wanted", "live", "paths"), OTHER.values(), ids=OTHER)
def test_a_write_is_needed(wanted: Object, live: Object, paths: list[str]) -> None:
    assert [".".join(path) for path in differences(wanted, live)] == paths


scalars = st.one_of(st.booleans(), st.integers(-5, 5), st.text(max_size=3), st.just(""))
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "limits", "selector", "args"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["a", "spec", "limits", "selector", "args"]), trees, max_size=4))
def test_an_object_does_not_differ_from_itself(tree: Object) -> None:
    assert differences(tree, tree) == []


QUANTITIES = st.tuples(st.integers(0, 10_000), st.sampled_from([("", 1000), ("k", 1000_000), ("M", 1000_000_000)]))


@given(QUANTITIES)
def test_thousandths_are_the_same_quantity(amount: tuple[int, tuple[str, int]]) -> None:
    number, (suffix, thousandths) = amount
    wanted = {"requests": {"cpu": f"{number}{suffix}"}}
    assert differences(wanted, {"requests": {"cpu": f"{number * thousandths}m"}}) == []
    assert differences(wanted, {"requests": {"cpu": f"{number * thousandths + 1}m"}}) == [("requests", "cpu")]


@pytest.mark.parametrize(
    ("wanted", "live", "found"),
    [
        ([{"name": "http", "port": 80}], [{"name": "http", "port": 81}], [("spec/ports/0", {"name": "http", "port": 80})]),
        (
            [{"name": "http", "port": 80}],
            [{"name": "http", "port": 80, "protocol": "UDP"}],
            [("spec/ports/0", {"name": "http", "port": 80})],
        ),
        ([{"name": "http", "port": 80}], [{"name": "http", "port": 80}], []),
        ([{"name": "http", "port": 80}], [{"name": "other", "port": 81}], []),
        ([{"name": "http", "port": 80}], None, []),
    ],
)
def test_what_stands_in_the_way_of_a_port(
    wanted: list[Object], live: list[Object] | None, found: list[tuple[str, Object]]
) -> None:
    seen = clashes({"spec": {"ports": wanted}}, {"spec": {"ports": live} if live is not None else {}})
    assert [("/".join(path), item) for path, item in seen] == found


def test_what_stands_in_the_way_within_a_container() -> None:
    wanted = container(ports=[{"name": "agent", "containerPort": 8002}])
    live = {
        "spec": {
            "template": {
                "spec": {
                    "containers": [{"name": "foreign"}, {"name": "engine", "ports": [{"name": "agent", "containerPort": 1}]}]
                }
            }
        }
    }
    assert clashes(wanted, live) == [
        (("spec", "template", "spec", "containers", "1", "ports", "0"), {"name": "agent", "containerPort": 8002})
    ]
