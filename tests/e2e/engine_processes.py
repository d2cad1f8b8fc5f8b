"""Stop processes inside a replica's engine container, as a hang would."""

import json

from tests.e2e.conftest import World
from tests.e2e.kube import Object

#: run by the container's own Python: every process but the agent (pid 1) and this one, with its command line
LIST = """
import json, os
found = {}
for pid in filter(str.isdigit, os.listdir('/proc')):
    if int(pid) in (1, os.getpid()): continue
    try:
        line = open(f'/proc/{pid}/cmdline').read().replace(chr(0), ' ').strip() or open(f'/proc/{pid}/comm').read().strip()
        state = open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[0]
    except OSError: continue
    found[pid] = [line, state]
print(json.dumps(found))
"""


def processes(world: World, pod: Object) -> dict[int, tuple[str, str]]:
    """Pid -> (command line, state letter) of what runs in the engine container beside the agent."""
    said = world.kube.run(
        "exec", pod["metadata"]["name"], "-n", world.namespace, "-c", "engine", "--", "python3", "-c", LIST
    ).stdout
    return {int(pid): (line, state) for pid, (line, state) in json.loads(said).items()}


def stop(world: World, pod: Object, *, only: str = "") -> list[int]:
    """SIGSTOP every engine process (or those whose command line contains `only`); the pids that are stopped now."""
    chosen = [pid for pid, (line, _) in processes(world, pod).items() if only in line]
    assert chosen, f"no process {only!r} among {processes(world, pod)}"
    script = f"import os, signal; [os.kill(pid, signal.SIGSTOP) for pid in {chosen}]"
    world.kube.run("exec", pod["metadata"]["name"], "-n", world.namespace, "-c", "engine", "--", "python3", "-c", script)
    states = processes(world, pod)
    assert all(states[pid][1] == "T" for pid in chosen), states
    return chosen
