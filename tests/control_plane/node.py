"""A node without a machine, for the real scheduler: the test plays its kubelet."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from fairlead.reconciler.kinds import Kind
from tests.cluster.controlplane import ControlPlane, scheduling
from tests.objects import Object, Objects
from tests.waiting import until

NODE = Kind("", "v1", "Node", "nodes")
NAME = "node"
ROOM = {"cpu": "64", "memory": "512Gi", "ephemeral-storage": "100Gi", "pods": "110", "nvidia.com/gpu": "64"}
HEARTBEAT_SECONDS = 5.0
"""The controllers take a node for lost that has said nothing for 50 s."""


@contextmanager
def one_node(plane: ControlPlane) -> Iterator[None]:
    """A ready node with more GPUs than any test needs, and a scheduler, while the block runs."""
    objects = Objects(plane.api)
    over = threading.Event()
    labels = {"kubernetes.io/os": "linux", "kubernetes.io/hostname": NAME}
    objects.create(NODE, None, {"metadata": {"name": NAME, "labels": labels}, "status": {"capacity": ROOM, "allocatable": ROOM}})
    beating = threading.Thread(target=_beat, args=(plane, over), name="heartbeat")
    beating.start()
    try:
        with scheduling(plane):
            until(
                "the node is ready",
                lambda: "taints" not in _node(objects)["spec"],
                describe=lambda: str(_node(objects)),
            )
            yield
    finally:
        over.set()
        beating.join()
        objects.delete(NODE, None, NAME)
        objects.close()


def _node(objects: Objects) -> Object:
    return objects.request("GET", NODE.path(None, NAME))


def _beat(plane: ControlPlane, over: threading.Event) -> None:
    # A connection of its own: it is another thread.
    objects = Objects(plane.api)
    while not over.is_set():
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "the test says so",
            "lastHeartbeatTime": now,
        }
        path = NODE.path(None, NAME, "status")
        objects.request("PATCH", path, {"status": {"conditions": [ready]}}, "application/merge-patch+json")
        over.wait(HEARTBEAT_SECONDS)
    objects.close()
