"""What there is in a namespace in the end, in a form in which two namespaces with the same history are equal."""

import json
from collections import Counter
from dataclasses import replace
from http.client import BAD_REQUEST, CREATED

from fairlead.reconciler.kinds import CHILDREN, MODEL_DEPLOYMENT, POD, REPLICA_SET
from fairlead.resources.names import APPLIED_HASH_ANNOTATION
from tests.audit import WRITES
from tests.control_plane.world import World
from tests.objects import Object

_FLEETING = {
    *("uid", "resourceVersion", "creationTimestamp", "managedFields", "clusterIP", "clusterIPs"),
    *("lastTransitionTime", "lastUpdateTime"),
    APPLIED_HASH_ANNOTATION,  # of the namespace's name among the rest, which is compared itself
}
_KUBERNETES_OWN = {"default", "kube-root-ca.crt"}
DEPLOYMENT_CONTROLLER = "system:serviceaccount:kube-system:deployment-controller"


def end_state(world: World) -> Object:
    """All objects of the kinds that Fairlead and what it makes consist of, whoever they belong to."""
    found = {
        f"{kind.name} {each['metadata']['name']}": _lasting(each, world.namespace)
        for kind in (MODEL_DEPLOYMENT, *CHILDREN, REPLICA_SET)
        for each in world.objects.list(kind, world.namespace)
        if each["metadata"]["name"] not in _KUBERNETES_OWN
    }
    return {**found, "pods": len(world.objects.list(POD, world.namespace))}


def made_and_deleted(world: World, since: int) -> Counter[str]:
    """How often an object of each kind was made and deleted, by the operator and by the Deployments' controller.

    Without Events: one that the operator dies over is not told again, since the condition says the same.
    """
    entries = [
        each
        for audit in (world.audit, replace(world.audit, user=DEPLOYMENT_CONTROLLER))
        for each in audit.requests(since)
        if each["verb"] in WRITES and each["objectRef"]["resource"] != "events" and each["responseStatus"]["code"] < BAD_REQUEST
    ]
    # A server-side apply that makes an object is a patch that is answered with 201.
    verbs = [("create" if each["responseStatus"]["code"] == CREATED else each["verb"], each) for each in entries]
    return Counter(f"{verb} {each['objectRef']['resource']}" for verb, each in verbs if verb in {"create", "delete"})


def _lasting(value: object, namespace: str) -> object:
    if isinstance(value, dict):
        return {key: _lasting(each, namespace) for key, each in value.items() if key not in _FLEETING}
    if isinstance(value, list):
        return [_lasting(each, namespace) for each in value]
    return value.replace(namespace, "NAMESPACE") if isinstance(value, str) else value


def unlike(one: Object, other: Object) -> str:
    """Where two end states differ; empty: nowhere."""
    differing = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    return "\n".join(f"{name}:\n  {json.dumps(one.get(name))}\n  {json.dumps(other.get(name))}" for name in differing)
