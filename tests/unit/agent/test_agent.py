"""The whole agent as a process: real child, real sockets, real Envoy, NVML's library replaced by the fake."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead_agent.http_client import HttpClient
from fairlead_agent.sidecar import SidecarAdmin
from tests import metrics_reference
from tests.unit.agent.processes import ROOT, Agent
from tests.unit.agent.settings import GIB
from tests.waiting import until

Start = Callable[..., Agent]
TOTAL = 24 * GIB
NEEDED = -(-TOTAL * 90 // 100)


def stream(agent: Agent, tokens: int) -> subprocess.Popen[str]:
    body = {"model": "tiny", "stream": True, "max_tokens": tokens, "messages": [{"role": "user", "content": "go"}]}
    url = f"{agent.sidecar}/v1/chat/completions"
    return subprocess.Popen(
        ["curl", "-sS", "-N", "-m", "60", "-H", "content-type: application/json", "-d", json.dumps(body), url],
        stdout=subprocess.PIPE,
        text=True,
    )


async def in_flight_and_bytes(admin_url: str) -> tuple[int, int]:
    """Both statistics as the agent reads them, from a real Envoy."""
    async with HttpClient() as http:
        admin = SidecarAdmin(http, admin_url, 2)
        return await admin.active_requests(), await admin.bytes_from_engine()


def test_from_the_wait_for_memory_to_a_drain_that_cuts_nothing(start_agent: Start) -> None:
    agent = start_agent(memory_used=TOTAL)
    until("it has read the GPU's memory", lambda: str(NEEDED) in agent.get("/status")[1], seconds=60, every=0.05)
    status = json.loads(agent.get("/status")[1])
    assert status["reason"] == "GPUMemoryInsufficient"
    assert {"0", str(NEEDED)} <= set(re.findall(r"\d+", status["message"]))
    assert [agent.get(page)[0] for page in ("/startupz", "/readyz", "/livez")] == [200, 503, 200]
    agent.gpu.set("memory_used_bytes", TOTAL - 20 * GIB - NEEDED // 1000)
    until("still too little", lambda: agent.get("/status")[1] != json.dumps(status), seconds=60, every=0.05)
    agent.gpu.set("memory_used_bytes", TOTAL - NEEDED)

    agent.until_page("/readyz", 200)
    assert [agent.get(page)[0] for page in ("/startupz", "/livez")] == [200, 200]
    assert b"PYTHONPATH=/of/the/user\n" in agent.log.read_bytes(), "the engine has the user's PYTHONPATH and not the agent's"
    page = agent.get("/metrics")[1]
    assert "fairlead_agent_ready 1.0" in page
    assert metrics_reference.names(page) == {metrics_reference.exposed(each) for each in metrics_reference.agent_families()}
    assert f'fairlead_agent_gpu_memory_total_bytes{{uuid="{agent.gpu.uuid}"}}' in page
    assert "vllm:num_requests_running{" in page

    running = stream(agent, 12)
    until("the stream is seen", lambda: json.loads(agent.get("/status")[1])["running"] == 1, seconds=30, every=0.05)
    admin = agent.settings["sidecarAdminUrl"]
    assert asyncio.run(in_flight_and_bytes(admin)) >= (1, 1)
    agent.terminate()
    until("it drains", lambda: '"Draining"' in agent.get("/status")[1], seconds=30, every=0.05)
    assert agent.get("/readyz")[0] == 200
    agent.terminate()
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert out.rstrip().endswith("data: [DONE]")
    assert out.count("data: {") == 12
    assert agent.ends() == 0
    assert agent.said().startswith("Draining: ended as told: nothing is in flight\n")


def test_a_stopped_engine_is_killed_without_a_drain(start_agent: Start) -> None:
    # A stopped engine does not end by itself: with a drain it would be given the whole minute.
    agent = start_agent(health__failureThreshold=1, drain__engineShutdownSeconds=60)
    agent.until_page("/readyz", 200)
    engine = agent.engine_pid()
    assert os.getpgid(engine) == engine
    os.kill(engine, signal.SIGSTOP)
    assert "no progress" in agent.until_page("/readyz", 503)
    assert agent.get("/livez")[0] == 200
    assert agent.until_page("/livez", 503).startswith("EngineStalled: no progress for")
    agent.terminate()
    assert agent.ends(30) == 128 + signal.SIGKILL
    assert agent.said().startswith("EngineStalled: no progress for")
    assert not Path(f"/proc/{engine}").exists()


def test_gpu_faults_through_the_real_client_library(start_agent: Start) -> None:
    agent = start_agent()
    agent.until_page("/readyz", 200)
    agent.gpu.set("hang", 1)
    assert agent.until_page("/readyz", 503).startswith("NVMLHung: ")
    assert agent.get("/livez")[0] == 200
    agent.gpu.clear("hang")
    agent.until_page("/readyz", 200)
    agent.gpu.append("xid", 31)
    agent.gpu.append("xid", 79)
    assert "Xid 79" in agent.until_page("/readyz", 503)
    assert agent.post_drain()[0] == 202
    assert agent.ends() == 0


@pytest.mark.parametrize("code", [3, 0])
def test_an_engine_that_ends_ends_the_container_with_its_last_lines(start_agent: Start, code: int) -> None:
    agent = start_agent({"FAKE_EXIT": str(code)})
    assert agent.ends() == code
    said = agent.said().splitlines()
    assert said[0] == f"EngineExited: the engine ended with exit code {code}" + (": ValueError: no layers" if code else "")
    assert said[-1] == "RuntimeError: Engine core failed. See root cause above."


def test_a_killed_engine_is_told_by_its_signal(start_agent: Start) -> None:
    agent = start_agent({"FAKE_START_SECONDS": "60"})
    until("the engine runs", agent.engine_pid, seconds=60, every=0.05)
    until("it said hello", lambda: b"fake engine serve" in agent.log.read_bytes(), seconds=60, every=0.05)
    assert "EngineStarting" in agent.get("/startupz")[1]
    os.kill(agent.engine_pid(), signal.SIGKILL)
    assert agent.ends() == 137
    assert agent.said().startswith("EngineExited: the engine ended with signal SIGKILL\n")


def test_a_failed_warm_up_is_told(start_agent: Start) -> None:
    agent = start_agent({"FAKE_WARMUP_ERROR": "maximum context length is 32"})
    until("it is told", lambda: "WarmupFailed" in agent.get("/status")[1], seconds=60, every=0.05)
    assert agent.get("/startupz") == (503, "WarmupFailed: HTTP 400: maximum context length is 32\n")


def test_pause_does_nothing_until_it_is_told_to_end() -> None:
    own = {**os.environ, "PYTHONPATH": str(ROOT / "runtime/agent/src")}
    process = subprocess.Popen([sys.executable, "-m", "fairlead_agent", "pause"], env=own)
    try:
        # It waits in pause(2), with its handler set: bit 14 of the caught signals is SIGTERM.
        caught = re.compile(r"^SigCgt:\s*([0-9a-f]+)$", re.MULTILINE)

        def waits() -> bool:
            status = Path(f"/proc/{process.pid}/status").read_text()
            mask = caught.search(status)
            return mask is not None and bool(int(mask[1], 16) >> 14 & 1) and "State:\tS" in status

        until("it sleeps", waits, seconds=60, every=0.05)
        assert process.poll() is None
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairlead_agent", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "runtime/agent/src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--", "/models/tiny"], "the following arguments are required: --config"),
        (["--config", "CONFIG"], "nothing follows --: write the engine's arguments there"),
        (["--config", "CONFIG", "--", "/models/tiny"], "wrong configuration: CONFIG: version: missing"),
    ],
)
def test_mistakes_are_told_without_a_traceback(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "agent.json").write_text("{}")
    path = str(tmp_path / "agent.json")
    done = run("--termination-log", tmp_path / "log", *(path if each == "CONFIG" else each for each in arguments))
    assert done.returncode == 2
    assert said.replace("CONFIG", path) in done.stderr
    assert "Traceback" not in done.stderr
    if "wrong configuration" in said:
        assert said.replace("CONFIG", path) in (tmp_path / "log").read_text()


def test_a_port_that_is_taken_is_told(start_agent: Start, tmp_path: Path) -> None:
    first = start_agent()
    first.until_page("/livez", 200)
    done = run("--config", tmp_path / "agent.json", "--termination-log", tmp_path / "second", "--", "/models/tiny")
    assert done.returncode == 1
    assert "cannot listen" in (tmp_path / "second").read_text()
    assert "Traceback" not in done.stderr
