"""The namespaces that the cluster's processes live in: network, mounts and processes, held by one init process.

In its mount namespace, folders whose paths the kubelet, containerd and the CNI plugins hard-code (/run,
/var/lib/kubelet, …) are the cluster's own, so that two clusters on one machine do not meet there.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import network
from tests.cluster.controlplane import environment
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout
from tests.cluster.processes import Process, find
from tests.cluster.progress import tail, wait_until

#: Hard-coded folders and what the node sees there instead, relative to the state folder. They have to exist on the host.
BOUND = {"/var/lib/kubelet": "kubelet/var", "/var/lib/cni": "cni/var"}
#: Hard-coded folders with nothing in them worth keeping: containerd's shims put their sockets under /run, the kubelet
#: links logs into /var/log.
EMPTIED = ("/run", "/var/log")

#: The kubelet writes these, which hold for the whole machine, unless they already read so. In the node they do.
TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}

#: Arguments: the init program, its name, then pairs "KIND WHERE WHAT".
_SETUP = """
init=$1; shift
mount -t proc proc /proc
while [ $# -gt 0 ]; do
  case $1 in
    empty) mount -t tmpfs -o mode=755 tmpfs "$2" ;;
    bind) mount --bind "$3" "$2" ;;
    value) mkdir -p /run/tunables; file=/run/tunables/$(echo "$2" | tr / .); echo "$3" >"$file"; mount --bind "$file" "$2" ;;
  esac
  shift 3
done
mount --make-rshared /
exec "$init"
"""

#: The background process is the component itself: the shell ends at once.
_START = 'log=$1; shift; cd /; "$@" </dev/null >>"$log" 2>&1 &'


@dataclass(frozen=True)
class Sandbox:
    """A clone's namespaces. All state is the kernel's: nothing is remembered that could be out of date."""

    layout: Layout

    @property
    def init_program(self) -> Path:
        """A path of this clone alone: its process is found by it."""
        return self.layout.state / "init"

    def init(self) -> Process | None:
        """The init process, if the cluster's namespaces are up."""
        found = find(lambda process: process.argv == (str(self.init_program),))
        return found[0] if found else None

    def check_cache(self) -> None:
        """See that this clone's cluster does not live in another cache: it has the same names.

        Raises:
            ClusterError: it does; the message says which.
        """
        place = self.init_program.relative_to(self.layout.cache)
        for process in find(lambda process: process.argv[0].endswith(f"/{place}") and len(process.argv) == 1):
            cache = Path(process.argv[0].removesuffix(f"/{place}"))
            if cache != self.layout.cache:
                raise ClusterError(f"This clone's cluster is up in another cache: set FAIRLEAD_CACHE={cache}")

    def whole(self) -> bool:
        """Is init up, and in the network namespace that bears the clone's name?"""
        init = self.init()
        if init is None or not self.layout.netns.exists() or not network.link_exists(self.layout.name):
            return False
        return init.namespace("net") == self.layout.netns.stat().st_ino

    def processes(self) -> list[Process]:
        """What runs in the node's process namespace, init included, pods' processes not."""
        init = self.init()
        if init is None:
            return []
        inside = init.namespace("pid")
        return find(lambda process: process.namespace("pid") == inside)

    def create(self, init_program: Path) -> None:
        """Start init in new namespaces of mounts and processes, in the network namespace that is there already.

        Raises:
            ClusterError: the kernel refuses a namespace or a mount.
        """
        self._check_place()
        shutil.copy2(init_program, self.init_program)
        setup: list[str] = []
        for folder in EMPTIED:
            setup += ["empty", folder, "-"]
        for folder, inside in BOUND.items():
            Path(folder).mkdir(parents=True, exist_ok=True)
            (self.layout.state / inside).mkdir(parents=True, exist_ok=True)
            setup += ["bind", folder, str(self.layout.state / inside)]
        for name, value in TUNABLES.items():
            if Path("/proc/sys", name).exists():
                setup += ["value", f"/proc/sys/{name}", str(value)]
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        log = self.layout.logs / "init.log"
        command = ["nsenter", f"--net={self.layout.netns}", "unshare", "--mount", "--propagation=private", "--pid", "--fork"]
        with log.open("wb") as output:
            starter = subprocess.Popen(
                [*command, "sh", "-ec", _SETUP, "sh", str(self.init_program), *setup],
                env=environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        def up() -> bool:
            if starter.poll() is not None:
                raise ClusterError(f"The node's namespaces could not be made:\n{tail(log)}")
            return self.init() is not None

        wait_until("The start of the node's init process", up, seconds=20, every=0.02)

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Start a component in the sandbox, its output appended to <logs>/<name>.log.

        Raises:
            ClusterError: the sandbox is not up.
        """
        init = self.init()
        if init is None:
            raise ClusterError(f"{name} cannot start: the node's namespaces are gone")
        # With --no-fork only what the shell starts is in the process namespace, and no nsenter stays behind to wait for it.
        enter = ["nsenter", f"--target={init.pid}", "--mount", "--net", "--pid", "--no-fork"]
        done = subprocess.run(
            [*enter, "sh", "-ec", _START, "sh", str(self.layout.logs / f"{name}.log"), *argv],
            env={**environment(), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
        if done.returncode:
            raise ClusterError(f"{name} could not be started: {done.stderr.strip()}")

    def destroy(self) -> None:
        """End init, and with it every process of the cluster; a half-made sandbox too.

        Raises:
            ClusterError: something did not die within 30 seconds.
        """
        program = str(self.init_program)
        for process in find(lambda process: program in process.argv and process.pid != os.getpid()):
            process.end(signal.SIGKILL, seconds=30)

    def _check_place(self) -> None:
        for folder in (*EMPTIED, *BOUND, "/proc"):
            if self.layout.state.is_relative_to(folder):
                raise ClusterError(f"The cluster's files cannot lie under {folder}: set FAIRLEAD_CACHE to a folder elsewhere")
