"""What runs: one table, and whether all is well."""

from dataclasses import dataclass
from typing import Any

from tests.cluster import node
from tests.cluster.access import Cluster
from tests.cluster.components import MARKS, running
from tests.cluster.layout import Layout
from tests.cluster.sandbox import Sandbox


@dataclass(frozen=True)
class Row:
    """A component: pid and resident bytes while it runs."""

    name: str
    pid: int | None
    memory: int


def status(layout: Layout) -> tuple[str, bool]:
    """The text to print, and whether the cluster is up and whole."""
    if not layout.state.exists():
        return "No cluster is up: `make cluster-up` starts one", False
    sandbox = Sandbox(layout)
    processes = sandbox.processes()
    rows = []
    for name in MARKS:
        process = running(name, processes)
        rows.append(Row(name, process.pid if process else None, process.memory_bytes() if process else 0))
    cluster = Cluster.find(layout)
    found = cluster.api.get(f"/api/v1/nodes/{node.NAME}") if cluster else None
    pods = cluster.api.get("/api/v1/pods") if cluster and found else None
    whole = all(row.pid for row in rows) and found is not None and node.is_ready(found)
    lines = [table(rows), "", f"Node      {node_line(found)}", f"Pods      {pods_line(pods)}", f"State     {layout.state}"]
    lines.append('Use it    eval "$(python3 -m tests.cluster env)"' if whole else "Not whole: `make cluster-up` repairs it")
    return "\n".join(lines), whole


def table(rows: list[Row]) -> str:
    """One line per component."""
    lines = [f"{'component':<20} {'pid':>8} {'memory':>10}"]
    for row in rows:
        pid, memory = (row.pid, f"{row.memory / 2**20:.0f} MiB") if row.pid else ("-", "not running")
        lines.append(f"{row.name:<20} {pid:>8} {memory:>10}")
    return "\n".join(lines)


def node_line(found: dict[str, Any] | None) -> str:
    """In words: ready or not, and its GPUs."""
    if found is None:
        return "unknown: the API server does not answer, or does not know it"
    return f"{'ready' if node.is_ready(found) else 'NOT ready'}, {node.allocatable_gpus(found)} GPUs allocatable"


def pods_line(pods: dict[str, Any] | None) -> str:
    """How many pods are in which phase."""
    if pods is None:
        return "unknown"
    phases = [each.get("status", {}).get("phase", "Unknown") for each in pods["items"]]
    counts = ", ".join(f"{phases.count(phase)} {phase}" for phase in sorted(set(phases)))
    return counts or "none"
