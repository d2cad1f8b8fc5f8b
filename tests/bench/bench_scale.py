"""A thousand ModelDeployments, ten new ones a second: how long until each has its children, and what the operator costs.

    make bench-scale        (about a quarter of an hour; A="--objects 200" for fewer)

Real etcd, API server, controllers and scheduler; nodes and kubelets are KWOK's, which lets every pod run and be ready at once.
The operator is a process here, with the settings and the rights that the chart gives it. The times are the API server's own,
from its audit log: from the arrival of a ModelDeployment's creation to the answer about the last of its six children.

The floor is the same in a cluster of its own: a client that only applies the same children, in as many threads as the operator
has workers, with no question asked and nothing watched.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.audit import entries
from tests.bench.scale import floor
from tests.bench.scale.cluster import OPERATOR, SYSTEM, Crowd, crowd, ready
from tests.bench.scale.cost import cpu_seconds, machine_busy_seconds, memory_mib, programs
from tests.bench.scale.figures import calls, percentile, stories
from tests.bench.scale.pace import Clients, at_rate
from tests.bench.scale.spec import create
from tests.cluster.progress import step
from tests.control_plane.installed import operator_of_chart
from tests.control_plane.process import OperatorProcess
from tests.waiting import until

IDLE_SECONDS = 60.0
CATCH_UP_SECONDS = 300.0
SETTLED_SECONDS = 10.0
READY_SECONDS = 900.0
AIM_P95, AIM_RESTART = 2.0, 30.0


@dataclass(frozen=True)
class Restart:
    how: str
    seconds: float
    """From the start of the new process until it has visited every ModelDeployment."""
    cpu_seconds: float
    visits: int
    reads: Counter[str]
    writes: list[str]


@dataclass(frozen=True)
class Run:
    """One cluster's story."""

    kept: float
    """ModelDeployments a second that were really created."""
    times: list[float]
    cpu: dict[str, float]
    """CPU seconds while they were created and their children applied, by program."""


@dataclass(frozen=True)
class OperatorRun(Run):
    calls: Counter[str]
    ready_seconds: float
    """From the first creation until all were ready."""
    cpu_whole: float
    rss: float
    peak: float
    idle_percent: float
    idle_writes: list[str]
    restarts: list[Restart]


@contextmanager
def cpu_by_program(found: dict[str, float]) -> Iterator[None]:
    """Note in `found` what each program has used within the block, and what others on the machine have."""
    before, busy = {name: cpu_seconds(pid) for name, pid in programs().items()}, machine_busy_seconds()
    own, start = time.process_time(), time.monotonic()
    yield
    for name, pid in programs().items():
        found[name] = cpu_seconds(pid) - before.get(name, 0.0)
    found["this benchmark"] = time.process_time() - own
    found["other processes of the machine"] = machine_busy_seconds() - busy - sum(found.values())
    found["(all cores)"] = (time.monotonic() - start) * (os.cpu_count() or 1)


def times_of(world: Crowd, applier: str) -> list[float]:
    """Seconds until the children were applied, for all that were created."""
    found = stories(entries(world.plane.audit_log), applier)
    times = [story.seconds for story in found.values()]
    if len(times) != world.count or None in times:
        raise SystemExit(f"{sum(each is not None for each in times)} of {world.count} ModelDeployments have all their children")
    return [each for each in times if each is not None]


def run_floor(folder: Path, count: int, rate: float) -> Run:
    with crowd(folder, count) as world:
        operator = operator_of_chart(world.plane, world.objects, folder, SYSTEM)
        cpu: dict[str, float] = {}
        with step(f"A bare client applies the children of {count} ModelDeployments"), cpu_by_program(cpu):
            kept = floor.run(world, operator.config, rate)
        return Run(kept, times_of(world, floor.USER), cpu)


def run_operator(folder: Path, count: int, rate: float) -> OperatorRun:
    with crowd(folder, count) as world:
        operator = operator_of_chart(world.plane, world.objects, folder, SYSTEM)
        operator.start()
        try:
            return measure(world, operator, rate)
        finally:
            if operator.running:
                operator.stop(signal.SIGKILL)


def measure(world: Crowd, operator: OperatorProcess, rate: float) -> OperatorRun:
    until("it leads", lambda: operator.metric("fairlead_operator_leader") == 1, seconds=40, every=0.2)
    assert operator.process is not None
    pid, clients, made, cpu = operator.process.pid, Clients(world.plane), Counter[str](), dict[str, float]()
    audit = world.audit()
    mark, start, before = audit.mark(), time.monotonic(), cpu_seconds(pid)

    def one(number: int) -> None:
        create(clients.mine(), *world.place(number))
        made["made"] += 1

    with step(f"Creating {world.count} ModelDeployments", lambda: f"({made['made']} made)"), cpu_by_program(cpu):
        kept = at_rate(world.count, rate, one)
        until("all have their children", lambda: all_applied(operator, world), seconds=READY_SECONDS, every=2)
    clients.close()

    def all_ready() -> bool:
        made["ready"] = ready(world)
        return made["ready"] == world.count

    with step("Waiting until all are ready", lambda: f"({made['ready']} are)"):
        until("all are ready", all_ready, seconds=READY_SECONDS, every=2)
        ready_seconds = time.monotonic() - start
        settled = audit.settled(SETTLED_SECONDS, within=READY_SECONDS, every=2)
    counted = calls(audit.requests(mark), OPERATOR)
    whole, rss, peak = cpu_seconds(pid) - before, memory_mib(pid, "VmRSS"), memory_mib(pid, "VmHWM")
    with step("Nothing happens for a minute"):
        before = cpu_seconds(pid)
        time.sleep(IDLE_SECONDS)
        idle = cpu_seconds(pid) - before
    return OperatorRun(
        kept=kept,
        times=times_of(world, OPERATOR),
        cpu=cpu,
        calls=counted,
        ready_seconds=ready_seconds,
        cpu_whole=whole,
        rss=rss,
        peak=peak,
        idle_percent=100 * idle / IDLE_SECONDS,
        idle_writes=audit.writes(settled),
        restarts=[restart(world, operator, how) for how in (signal.SIGTERM, signal.SIGKILL)],
    )


def all_applied(operator: OperatorProcess, world: Crowd) -> bool:
    """By the operator's own count of the last child's writes: cheaper than to ask for them."""
    return operator.metric('fairlead_api_writes_total{kind="Deployment",verb="apply"}') >= world.count


def restart(world: Crowd, operator: OperatorProcess, how: signal.Signals) -> Restart:
    """End the operator and start it again; for half a minute after it has caught up it is watched for writes."""
    audit = world.audit()
    operator.stop(how)
    mark, start = audit.mark(), time.monotonic()

    def caught_up() -> int:
        """How many visits it took, once all is visited."""
        led = operator.metric("fairlead_operator_leader") == 1
        visits = int(operator.metric('fairlead_reconcile_total{result="ok"}'))
        idle = operator.metric("fairlead_queue_depth") == operator.metric("fairlead_reconcile_longest_running_seconds") == 0
        return visits if led and visits >= world.count and idle else 0

    with step(f"Restart after {how.name}"):
        operator.start()
        visits = until("it has caught up", caught_up, seconds=CATCH_UP_SECONDS, every=0.5, describe=operator.tail)
        seconds = time.monotonic() - start
        assert operator.process is not None
        cpu = cpu_seconds(operator.process.pid)
        time.sleep(IDLE_SECONDS / 2)
    return Restart(how.name, seconds, cpu, visits, calls(audit.requests(mark), OPERATOR), audit.writes(mark))


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    print("\n| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(f"{each:.2f}" if isinstance(each, float) else str(each) for each in row) + " |")


def report(run: OperatorRun, bare: Run | None, count: int) -> None:
    shares: list[Callable[[list[float]], float]] = [lambda t: percentile(t, 50), lambda t: percentile(t, 95), max]
    rows: list[list[Any]] = [["operator", run.kept, *(share(run.times) for share in shares)]]
    if bare is not None:
        rows.append(["floor: a bare client", bare.kept, *(share(bare.times) for share in shares)])
        rows.append(["operator / floor", "", *(share(run.times) / share(bare.times) for share in shares)])
    table(("children applied after, s", "created a second", "p50", "p95", "most"), rows)
    table(
        ("calls of the operator", "of one ModelDeployment"),
        [*((name, number / count) for name, number in run.calls.most_common()), ("all", run.calls.total() / count)],
    )
    table(
        ("operator", ""),
        [
            ("all ready after the first creation, s", run.ready_seconds),
            ("CPU for one ModelDeployment, from its creation until all is settled, ms", 1000 * run.cpu_whole / count),
            ("memory (RSS) with all there, MiB", run.rss),
            ("most memory, MiB", run.peak),
            ("CPU with all settled, % of a core", run.idle_percent),
            ("writes in that minute", len(run.idle_writes)),
        ],
    )
    table(
        ("restart after", "caught up after, s", "CPU s", "visits", "reads", "writes"),
        [(each.how, each.seconds, each.cpu_seconds, each.visits, each.reads.total(), len(each.writes)) for each in run.restarts],
    )
    names = [name for name in run.cpu if bare is None or name in bare.cpu or name.startswith("python")]
    table(
        ("CPU s while they were created", "operator's cluster", "floor's cluster"),
        [(name, run.cpu[name], bare.cpu.get(name, 0.0) if bare else "") for name in names],
    )


def main() -> int:
    """Measure and print; 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--objects", type=int, default=1000, help="ModelDeployments (default 1000)")
    parser.add_argument("--rate", type=float, default=10.0, help="how many are created a second (default 10)")
    parser.add_argument("--no-floor", action="store_true", help="only the operator")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fairlead-scale-") as folder:
        bare = None if options.no_floor else run_floor(Path(folder) / "floor", options.objects, options.rate)
        run = run_operator(Path(folder) / "operator", options.objects, options.rate)
    print(f"{options.objects} ModelDeployments, {options.rate:g} a second, {os.cpu_count()} cores")
    report(run, bare, options.objects)
    missed = [
        text
        for text, met in (
            (f"p95 of at most {AIM_P95:g} s", percentile(run.times, 95) <= AIM_P95),
            (f"restarts of at most {AIM_RESTART:g} s", all(each.seconds <= AIM_RESTART for each in run.restarts)),
            ("no writes after a restart", not any(each.writes for each in run.restarts)),
            ("no writes once settled", not run.idle_writes),
        )
        if not met
    ]
    for write in [*run.idle_writes, *(write for each in run.restarts for write in each.writes)][:20]:
        print(f"written without need: {write}")
    print("\n" + (f"missed: {'; '.join(missed)}" if missed else "all aims are met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
