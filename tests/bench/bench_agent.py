"""What the agent costs beside its engine: memory, CPU and the time of a probe, against a bare aiohttp process.

    make bench-agent        (half a minute; no cluster)

The floor is what any agent on these packages costs: an aiohttp server with one page and a client session, and nothing else.
The agent runs with a fake engine, real Envoy and the fake NVML, at the default intervals, and its engine is idle: every few
seconds it reads the metrics page, asks through the sidecar, sends a canary, and reads the GPU.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.nvml.build import build
from tests.ports import free_ports
from tests.unit.agent.processes import Agents
from tests.unit.agent.settings import AGENT_JSON
from tests.waiting import until

SECONDS = 20
PROBES = 500

BARE = """
import asyncio, sys
import aiohttp
from aiohttp import web

async def main():
    app = web.Application()
    app.router.add_get("/readyz", lambda request: answer())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    async with aiohttp.ClientSession():
        await asyncio.Event().wait()

async def answer():
    return web.Response(text="ok")

asyncio.run(main())
"""


@dataclass(frozen=True)
class Row:
    name: str
    rss_mb: float
    pss_mb: float
    cpu_percent: float
    probe_ms: float


def memory_mb(pid: int, kind: str) -> float:
    """Resident (Rss) or proportional (Pss) memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no {kind} of process {pid}")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(url: str) -> None:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 # loopback
        answer.read()


def answers(url: str) -> bool:
    ask(url)
    return True


def measure(name: str, pid: int, url: str) -> Row:
    until(f"{name} answers", lambda: answers(url), seconds=30)
    times = []
    for _ in range(PROBES):
        start = time.perf_counter()
        ask(url)
        times.append(time.perf_counter() - start)
    before = cpu_seconds(pid)
    time.sleep(SECONDS)
    busy = cpu_seconds(pid) - before
    return Row(name, memory_mb(pid, "Rss"), memory_mb(pid, "Pss"), 100 * busy / SECONDS, 1000 * statistics.median(times))


def bare() -> Row:
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port)])
    try:
        return measure("bare aiohttp", process.pid, f"http://127.0.0.1:{port}/readyz")
    finally:
        process.kill()
        process.wait()


def agent() -> Row:
    with tempfile.TemporaryDirectory() as folder:
        agents = Agents(Path(folder), build(Path(folder)).parent)
        try:
            one = agents.start(health=AGENT_JSON["health"])
            one.until_page("/readyz", 200, seconds=60)
            return measure("agent, idle engine", one.process.pid, f"http://127.0.0.1:{one.settings['bind']['port']}/readyz")
        finally:
            agents.close()


def main() -> None:
    print("| process | RSS MB | PSS MB | CPU % of a core, idle | probe p50 ms |")
    print("|---|---|---|---|---|")
    for row in (bare(), agent()):
        print(f"| {row.name} | {row.rss_mb:.1f} | {row.pss_mb:.1f} | {row.cpu_percent:.2f} | {row.probe_ms:.2f} |")


if __name__ == "__main__":
    main()
