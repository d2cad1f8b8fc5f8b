"""The engine as a child: passed-on output, its group's end, orphans, and what it does not inherit."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead_agent.child import Child, Children, child_environment, exit_code
from tests.unit.agent.processes import ROOT
from tests.waiting import until

OWN = Path("/opt/agent")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, None),
        ("/opt/agent", None),
        ("/opt/agent:/of/the/user", "/of/the/user"),
        ("/of/the/user:/opt/agent/:/more", "/of/the/user:/more"),
        ("/opt/agent-of-another", "/opt/agent-of-another"),
        ("", None),
    ],
)
def test_the_engine_does_not_see_the_agent_s_packages(before: str | None, after: str | None) -> None:
    environment = {"PATH": "/bin"} | ({} if before is None else {"PYTHONPATH": before})
    assert child_environment(environment, OWN) == {"PATH": "/bin"} | ({} if after is None else {"PYTHONPATH": after})


@pytest.mark.parametrize(("status", "code"), [(0, 0), (3 << 8, 3), (signal.SIGKILL, 137), (signal.SIGTERM, 143)])
def test_exit_codes_are_those_of_shells(status: int, code: int) -> None:
    assert exit_code(status) == code


@contextlib.asynccontextmanager
async def running(script: str) -> AsyncIterator[Child]:
    children = Children(asyncio.get_running_loop())
    child = children.spawn([sys.executable, "-c", script], os.environ)
    try:
        yield child
    finally:
        child.signal(signal.SIGKILL)
        await child.exited
        children.close()


async def test_output_goes_to_where_it_was_written_and_the_end_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    script = "import sys; [print('line', n) for n in range(900)]; sys.stdout.flush(); print('last words', file=sys.stderr)"
    async with running(script) as child:
        assert await child.exited == 0
        kept = child.last_lines()
    out, err = capfd.readouterr()
    assert out.splitlines() == [f"line {n}" for n in range(900)]
    assert err == "last words\n"
    assert "last words" in kept
    assert len(kept) == 500
    assert "line 899" in kept


async def test_a_line_without_end_and_bytes_that_are_no_text_are_kept() -> None:
    async with running(r"import sys; sys.stdout.buffer.write(b'x' * 100000 + b'\xff end'); sys.stdout.flush()") as child:
        await child.exited
        (kept,) = child.last_lines()
    assert kept.endswith("\ufffd end")
    assert len(kept) <= 400


async def test_exit_code_and_signal() -> None:
    async with running("raise SystemExit(7)") as child:
        assert await child.exited == 7
    async with running("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)") as child:
        assert await child.exited == 128 + signal.SIGSEGV


async def test_a_program_that_is_not_there_is_an_oserror() -> None:
    children = Children(asyncio.get_running_loop())
    with pytest.raises(FileNotFoundError):
        children.spawn(["no-such-engine"], {"PATH": "/nowhere"})
    children.close()


async def test_the_whole_group_is_killed_even_when_it_is_stopped() -> None:
    script = (
        "import os, sys, time\npid = os.fork()\nif pid: print(os.getsid(0) == os.getpid(), pid, flush=True)\ntime.sleep(60)\n"
    )
    async with running(script) as child:
        async with asyncio.timeout(5):
            while not child.last_lines():  # noqa: ASYNC110 # its output comes through a pipe
                await asyncio.sleep(0.01)
        leads, grandchild = child.last_lines()[0].split()
        assert leads == "True"
        child.signal(signal.SIGSTOP)
        child.signal(signal.SIGKILL)
        assert await child.exited == 137

    def state() -> str:
        try:
            return Path(f"/proc/{grandchild}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "gone"

    until("the grandchild is dead", lambda: state() in {"gone", "Z"}, seconds=5, every=0.01)
    child.signal(signal.SIGTERM)  # nobody is there: nothing happens


#: A child that leaves two orphans behind, of which one has a child itself.
LEAVES_ORPHANS = """
import os
if os.fork() == 0:
    os.fork()
    os._exit(0)
os._exit(5)
"""
#: A child of this stands for process 1 of a container: orphans below it come to it (PR_SET_CHILD_SUBREAPER is 36).
REAPER = """
import asyncio, ctypes, os, sys
from pathlib import Path
from fairlead_agent.child import Children
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0

async def main():
    children = Children(asyncio.get_running_loop())
    child = children.spawn([sys.executable, "-c", sys.argv[1]], os.environ)
    assert await child.exited == 5
    async with asyncio.timeout(5):
        while Path(f"/proc/self/task/{os.getpid()}/children").read_text():
            await asyncio.sleep(0.01)
    print("clean")

asyncio.run(main())
"""


def test_orphans_are_reaped() -> None:
    done = subprocess.run(
        [sys.executable, "-c", REAPER, LEAVES_ORPHANS],
        env={**os.environ, "PYTHONPATH": str(ROOT / "runtime/agent/src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "clean\n", "")
