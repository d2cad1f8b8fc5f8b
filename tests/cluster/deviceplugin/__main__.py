"""The device plugin's process, beside the kubelet: `python -m tests.cluster.deviceplugin --help`.

Needs grpcio and grpcio-tools, unlike the rest of the package (interpreter.py finds a Python that has them).
"""

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]

from tests.cluster.deviceplugin.devices import RESOURCE, mounts, unhealthy, visible

# Made from the .proto at run time: its path is looked up on sys.path, and no generated file needs committing.
sys.path.insert(0, str(Path(__file__).parent))
MESSAGES, SERVICES = grpc.protos_and_services("deviceplugin.proto")

FOLDER = Path("/var/lib/kubelet/device-plugins")
KUBELET = FOLDER / "kubelet.sock"
SOCKET = FOLDER / "fairlead-gpu.sock"

#: Seconds between two looks at the health file and at the kubelet's socket.
LOOK = 0.5


class Plugin(SERVICES.DevicePluginServicer):  # type: ignore[misc, name-defined]
    """Answers the kubelet. Each method's name and arguments are the API's."""

    def __init__(self, gpus: Path, library: Path, health: Path) -> None:
        self.gpus, self.library, self.health = gpus, library, health

    def GetDevicePluginOptions(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return MESSAGES.DevicePluginOptions()

    def ListAndWatch(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802, ARG002
        """All devices, and again whenever one's health changes."""
        sent = None
        while context.is_active():
            bad = unhealthy(self.health)
            state = {each.name: "Unhealthy" if each.name in bad else "Healthy" for each in sorted(self.gpus.iterdir())}
            if state != sent:
                sent = state
                yield MESSAGES.ListAndWatchResponse(
                    devices=[MESSAGES.Device(ID=name, health=health) for name, health in state.items()]
                )
            time.sleep(LOOK)

    def Allocate(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        answers = []
        for container in request.container_requests:
            chosen = list(container.devices_ids)
            told = [
                MESSAGES.Mount(host_path=mount.host, container_path=mount.container, read_only=True)
                for mount in mounts(chosen, self.gpus, self.library)
            ]
            answers.append(MESSAGES.ContainerAllocateResponse(envs=visible(chosen), mounts=told))
            print("allocated", *chosen, flush=True)
        return MESSAGES.AllocateResponse(container_responses=answers)


def serve(plugin: Plugin) -> None:
    """Serve and register, until the kubelet restarts (it wipes the folder, and makes its socket anew)."""
    seen = _identity()
    SOCKET.unlink(missing_ok=True)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    SERVICES.add_DevicePluginServicer_to_server(plugin, server)
    server.add_insecure_port(f"unix://{SOCKET}")
    server.start()
    try:
        with grpc.insecure_channel(f"unix://{KUBELET}") as channel:
            request = MESSAGES.RegisterRequest(version="v1beta1", endpoint=SOCKET.name, resource_name=RESOURCE)
            SERVICES.RegistrationStub(channel).Register(request, timeout=10)
        print("registered", RESOURCE, flush=True)
        while SOCKET.exists() and _identity() == seen:
            time.sleep(LOOK)
    finally:
        server.stop(0).wait()


def _identity() -> tuple[int, int] | None:
    """Of the kubelet's socket: an inode's number alone may come back."""
    try:
        found = KUBELET.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_ctime_ns


def main() -> None:
    """Serve for ever."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.deviceplugin", description="Advertise fake GPUs.")
    parser.add_argument("--gpus", type=Path, required=True, help="one folder per GPU, named by its UUID")
    parser.add_argument("--library", type=Path, required=True, help="the fake libnvidia-ml.so.1")
    parser.add_argument("--health", type=Path, required=True, help="UUIDs to call unhealthy, one a line; need not exist")
    args = parser.parse_args()
    plugin = Plugin(args.gpus, args.library, args.health)
    while True:
        try:
            if KUBELET.exists():
                serve(plugin)
        except grpc.RpcError as error:
            print("not registered:", error.code(), flush=True)
        time.sleep(LOOK)


if __name__ == "__main__":
    main()
