"""Bring the cluster up, or back up: each step looks at what is there and does only what is missing."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.cluster import cgroups, components, debian, network, node, pause, policies, tools
from tests.cluster.access import API_PORT, RECORD, Cluster
from tests.cluster.api import Api
from tests.cluster.components import Component
from tests.cluster.controlplane import ControlPlaneSpec
from tests.cluster.deviceplugin import devices, interpreter
from tests.cluster.down import clear
from tests.cluster.errors import ClusterError
from tests.cluster.gpus import make_gpus
from tests.cluster.layout import REPOSITORY, SOCKET_PATH_MAX, Layout
from tests.cluster.locking import locked
from tests.cluster.nvml.build import build as build_nvml
from tests.cluster.progress import say, step, tail, wait_until
from tests.cluster.sandbox import Sandbox
from tests.cluster.settings import write_whole

#: Seconds for each of the things that usually take a few, on a machine that is busy with something else.
PATIENCE = 120.0
#: After a repair the node still reads as before the fault until the kubelet writes its status, every two seconds.
REPAIRED_SECONDS = 5.0
#: A containerd that just started answers its socket before its image service does.
CONTAINERD_SECONDS = 60.0


def up(layout: Layout, gpus: int | None) -> Cluster:
    """Bring the cluster up with this many fake GPUs (None: as many as it has), and wait until pods can run.

    Raises:
        ClusterError: something is missing, failed, or was not ready in time.
    """
    start = time.monotonic()
    _check_machine(layout)
    debian.check_node()
    programs = tools.ensure(layout.cache)
    with locked(layout):
        sandbox = Sandbox(layout)
        sandbox.check_cache()
        anew = not sandbox.whole() or not _subnet_file(layout).exists()
        if anew:
            if layout.state.exists():
                say("The cluster is half down: starting it anew")
            clear(layout)
            _make_sandbox(sandbox)
        address = json.loads(_subnet_file(layout).read_text())["node"]
        plane = ControlPlaneSpec(layout.state, programs, address, API_PORT, 2379, 2380, publish=True)
        wanted = gpus or _gpus_now(layout) or devices.COUNT
        started = _start(sandbox, plane, wanted)
        _wait_for_node(sandbox, plane.api, wanted, steady=REPAIRED_SECONDS if started and not anew else 0)
        record = {"node_address": address, "bin_dirs": [str(each) for each in programs.folders.values()]}
        write_whole(layout.state / RECORD, json.dumps(record))
        cluster = Cluster.find(layout)
        if cluster is None:
            raise ClusterError(f"The node's namespaces are gone: see {layout.logs}")
    if started:
        say(f"The cluster is up ({', '.join(started)} started) after {time.monotonic() - start:.0f} s")
    else:
        say("The cluster is up already")
    return cluster


def _check_machine(layout: Layout) -> None:
    if not Path("/proc/self/ns/pid").exists():
        raise ClusterError("The cluster needs Linux")
    if os.geteuid() != 0:
        raise ClusterError("The cluster needs root: it makes network namespaces and mounts")
    if len(str(layout.containerd_socket)) + len(".ttrpc") > SOCKET_PATH_MAX:
        raise ClusterError(f"{layout.containerd_socket} is too long for a Unix socket: set FAIRLEAD_CACHE to a shorter path")


def _subnet_file(layout: Layout) -> Path:
    """Written last when the namespaces are made: where it lies, they were made whole."""
    return layout.state / "network.json"


def _make_sandbox(sandbox: Sandbox) -> None:
    layout = sandbox.layout
    layout.state.mkdir(parents=True)
    layout.models.mkdir()
    with step("Network, cgroups and namespaces"):
        cgroups.create(layout.name)
        subnet = network.create(layout.name, layout.digits)
        sandbox.create(pause.build(layout.cache))
        write_whole(_subnet_file(layout), json.dumps({"host": subnet.host, "node": subnet.node}))


def _start(sandbox: Sandbox, plane: ControlPlaneSpec, gpus: int) -> list[str]:
    """Start what does not run; the names of what was started."""
    layout, programs = sandbox.layout, plane.tools
    one = node.NodeSpec(layout, plane)
    plane.prepare()
    one.prepare()
    make_gpus(layout, gpus)
    search = ":".join([*map(str, programs.folders.values()), os.environ.get("PATH", ""), "/usr/local/sbin:/usr/sbin:/sbin"])
    started = []

    def ensure(name: str, argv: list[str], env: dict[str, str] | None = None) -> None:
        if components.ensure(sandbox, Component(name, argv, {"PATH": search, **(env or {})})):
            started.append(name)

    ensure("etcd", plane.etcd())
    ensure("apiserver", plane.apiserver())
    ensure("containerd", one.containerd())
    if "containerd" in started:
        with step("containerd and the pause image"):
            _import_pause(layout, programs)
    if not plane.api.ready():
        with step("API server"):
            _wait(sandbox, "The API server's start", plane.api.ready, ("etcd", "apiserver"))
    ensure("controller-manager", plane.controller_manager())
    ensure("scheduler", plane.scheduler())
    _enforce_policies(sandbox, policies.PolicyAgent(layout, plane), ensure, anew="containerd" in started)
    ensure("kubelet", one.kubelet())
    ensure("kube-proxy", one.kube_proxy())
    plugin = [interpreter.find(layout.cache), "-m", "tests.cluster.deviceplugin", f"--gpus={layout.gpus}"]
    plugin += [f"--library={build_nvml(layout.cache)}", f"--health={layout.unhealthy_gpus}"]
    ensure("device-plugin", plugin, {"PYTHONPATH": str(REPOSITORY)})
    return started


def _enforce_policies(
    sandbox: Sandbox, agent: policies.PolicyAgent, ensure: Callable[[str, list[str], dict[str, str]], None], *, anew: bool
) -> None:
    init = sandbox.init()
    if init is None:
        raise ClusterError("The node's namespaces are gone")
    agent.prepare(init)
    if anew:
        # It hears of pods from the containerd that runs when it starts.
        components.stop(sandbox, "network-policies")
    ensure("network-policies", agent.command(), agent.environment())
    if not agent.in_force(init):
        with step("NetworkPolicies in force"):
            _wait(sandbox, "That something judges by NetworkPolicies", lambda: agent.in_force(init), ("network-policies",))


def _gpus_now(layout: Layout) -> int:
    return len(list(layout.gpus.iterdir())) if layout.gpus.exists() else 0


def _import_pause(layout: Layout, programs: tools.Tools) -> None:
    ctr = [str(programs.path("ctr")), f"--address={layout.containerd_socket}", "--namespace=k8s.io", "images"]
    archive = layout.state / "pause.tar"
    pause.write_image(pause.build(layout.cache), archive)
    said = ""

    def imported() -> bool:
        nonlocal said
        if not layout.containerd_socket.exists():
            return False
        done = subprocess.run([*ctr, "import", str(archive)], capture_output=True, text=True, check=False)
        said = done.stderr.strip()
        return done.returncode == 0

    try:
        wait_until("The import of the pause image", imported, seconds=CONTAINERD_SECONDS)
    except ClusterError as error:
        raise ClusterError(f"{error}: {said or 'containerd does not answer'}\n{tail(layout.logs / 'containerd.log')}") from None
    subprocess.run([*ctr, "label", pause.image_name(), "io.cri-containerd.pinned=pinned"], capture_output=True, check=True)


def _wait_for_node(sandbox: Sandbox, api: Api, gpus: int, steady: float) -> None:
    """Wait until the node has been ready, with its GPUs, for `steady` seconds without a break."""
    last_unready = time.monotonic()

    def ready() -> bool:
        nonlocal last_unready
        found = api.get(f"/api/v1/nodes/{node.NAME}")
        if found is None or not node.is_ready(found) or node.allocatable_gpus(found) != gpus:
            last_unready = time.monotonic()
            return False
        return time.monotonic() - last_unready >= steady

    if not ready():
        with step(f"Node ready, with {gpus} GPUs"):
            _wait(sandbox, f"The node's readiness, with {gpus} GPUs,", ready, tuple(components.MARKS))


def _wait(sandbox: Sandbox, what: str, probe: Callable[[], bool], needed: Sequence[str]) -> None:
    """Wait for something that comes to pass only while the needed components run.

    Raises:
        ClusterError: one of them ended (the message holds the end of its log), or it took too long.
    """

    def probe_the_living() -> bool:
        if probe():
            return True
        processes = sandbox.processes()
        for name in needed:
            if components.running(name, processes) is None:
                raise ClusterError(f"{name} ended:\n{tail(sandbox.layout.logs / f'{name}.log')}")
        return False

    try:
        wait_until(what, probe_the_living, seconds=PATIENCE, every=0.25)
    except ClusterError as error:
        raise ClusterError(f"{error}\nLogs: {sandbox.layout.logs}") from None
