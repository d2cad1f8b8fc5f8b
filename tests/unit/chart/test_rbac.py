"""What the chart grants, as a table: a right that is not in it is not granted, and the other way round."""

import importlib
import operator
from typing import Any

import pytest

from tests.unit.chart.helm import Helm, Manifest, of_kind

READ = {"get", "list", "watch"}

SEEN = {"list": "fairlead.controller.resync:Resync.round", "watch": "fairlead.controller.handlers:registry"}
CHILD = {
    **SEEN,
    "get": "fairlead.reconciler.children:Children._there",
    "create": "fairlead.reconciler.client:Client.apply",
    "patch": "fairlead.reconciler.client:Client.apply",
}
OPERATOR = {
    ("serving.fairlead.dev", "modeldeployments"): {**SEEN, "get": "fairlead.reconciler.children:Children._still_wanted"},
    ("serving.fairlead.dev", "modeldeployments/status"): {"patch": "fairlead.reconciler.status_writer:StatusWriter.write"},
    ("serving.fairlead.dev", "modeldeployments/finalizers"): {"update": "fairlead.resources.manifest:metadata"},
    ("", "configmaps"): {**CHILD, "delete": "fairlead.reconciler.children:Children._remove_superseded"},
    ("", "services"): CHILD,
    ("", "serviceaccounts"): {**CHILD, "delete": "fairlead.reconciler.children:Children._remove"},
    ("apps", "deployments"): CHILD,
    ("apps", "replicasets"): {"list": "fairlead.reconciler.children:Children._remove_superseded"},
    ("policy", "poddisruptionbudgets"): CHILD,
    ("networking.k8s.io", "networkpolicies"): CHILD,
    ("", "pods"): SEEN,
    ("events.k8s.io", "events"): {"create": "fairlead.reconciler.status_writer:StatusWriter._tell"},
    ("apiextensions.k8s.io", "customresourcedefinitions"): dict.fromkeys(("list", "watch"), "kopf:run"),
}
"""(API group, resource) -> verb -> the code that needs it."""

LEASE = [
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": ["fairlead-operator"],
        "verbs": ["get", "update"],
    },
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
]

USERS = {
    "fairlead-edit": {
        ("serving.fairlead.dev", resource): READ | {"create", "update", "patch", "delete", "deletecollection"}
        for resource in ("modeldeployments", "modeldeployments/scale")
    },
    "fairlead-view": {
        ("serving.fairlead.dev", resource): READ
        for resource in ("modeldeployments", "modeldeployments/status", "modeldeployments/scale")
    },
}


def granted(role: Manifest) -> dict[tuple[str, str], set[str]]:
    """(API group, resource) -> verbs; a rule with a field this does not read is an error."""
    rights: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        assert set(rule) == {"apiGroups", "resources", "verbs"}, rule
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                assert (group, resource) not in rights, f"{group}/{resource} is granted twice"
                rights[group, resource] = set(rule["verbs"])
    return rights


@pytest.fixture(scope="module")
def roles(helm: Helm) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in helm.manifests() if each["kind"] == "ClusterRole"}


def test_there_are_no_other_roles(roles: dict[str, Manifest]) -> None:
    assert set(roles) == {"fairlead-operator", *USERS}


def test_the_operator_may_do_this_and_nothing_else(roles: dict[str, Manifest]) -> None:
    assert granted(roles["fairlead-operator"]) == {where: set(verbs) for where, verbs in OPERATOR.items()}


@pytest.mark.parametrize("used", sorted({used for verbs in OPERATOR.values() for used in verbs.values()}))
def test_the_code_that_needs_a_right_is_there(used: str) -> None:
    module, _, name = used.partition(":")
    assert callable(operator.attrgetter(name)(importlib.import_module(module)))


def test_in_its_own_namespace_it_may_hold_its_lease_and_nothing_else(helm: Helm) -> None:
    role = of_kind(helm.manifests(), "Role")
    assert (role["metadata"]["namespace"], role["rules"]) == ("fairlead-system", LEASE)


@pytest.mark.parametrize("name", USERS)
def test_users_may_do_this_and_nothing_else(roles: dict[str, Manifest], name: str) -> None:
    assert granted(roles[name]) == USERS[name]


@pytest.mark.parametrize(
    "never",
    [
        ("resource", "secrets"),
        ("resource", "pods/exec"),
        ("resource", "pods/attach"),
        ("resource", "pods/portforward"),
        ("resource", "nodes/proxy"),
        ("resource", "serviceaccounts/token"),
        ("resource", "*"),
        ("verb", "*"),
        ("verb", "escalate"),
        ("verb", "bind"),
        ("verb", "impersonate"),
        ("group", "*"),
        ("group", "rbac.authorization.k8s.io"),
        ("group", "admissionregistration.k8s.io"),
    ],
    ids="-".join,
)
def test_never_granted(roles: dict[str, Manifest], never: tuple[str, str]) -> None:
    what, name = never
    for role in roles.values():
        for (group, resource), verbs in granted(role).items():
            holds: dict[str, Any] = {"group": {group}, "resource": {resource}, "verb": verbs}
            assert name not in holds[what], f"{role['metadata']['name']}: {group}/{resource} {sorted(verbs)}"


@pytest.mark.parametrize("kind", ["ClusterRole", "Role"])
def test_the_operator_is_bound_to_its_own_roles_alone(helm: Helm, kind: str) -> None:
    manifests = helm.manifests()
    binding = of_kind(manifests, f"{kind}Binding")
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "fairlead-operator"}
    account = of_kind(manifests, "ServiceAccount")["metadata"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}]
    assert of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]


def test_where_it_serves_some_namespaces_only_it_has_rights_in_no_other(helm: Helm) -> None:
    manifests = helm.manifests("--set", "watchNamespaces={team-a,team-b}")
    bindings = [each for each in manifests if each["kind"] in ("ClusterRoleBinding", "RoleBinding")]
    assert [(each["metadata"]["namespace"], each["roleRef"]["kind"]) for each in bindings] == [
        ("team-a", "ClusterRole"),
        ("team-b", "ClusterRole"),
        ("fairlead-system", "Role"),
    ]
    account = of_kind(manifests, "ServiceAccount")["metadata"]
    for each in bindings:
        assert each["roleRef"]["name"] == "fairlead-operator"
        assert each["subjects"] == [{"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}]


def test_roles_for_users_can_be_left_out(helm: Helm) -> None:
    manifests = helm.manifests("--set", "rbac.aggregateToDefaultRoles=false")
    assert [each["metadata"]["name"] for each in manifests if each["kind"] == "ClusterRole"] == ["fairlead-operator"]
