"""The engine as a child process: its own session, its output passed through, its descendants ended and reaped with it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import fairlead_agent

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

#: How much of the engine's output is kept: a vLLM that cannot load its model writes 120 lines of other tracebacks after the one
#: that says why.
_LINES = 500
_LINE_CHARACTERS = 400
_READ_BYTES = 65536
#: Seconds to wait for the rest of the output of an engine that has ended. A descendant that lives on can keep the pipe open.
_REST_SECONDS = 1.0
#: The folder from which this package was imported.
OWN_FOLDER = Path(fairlead_agent.__file__).resolve().parent.parent


def child_environment(environment: Mapping[str, str], own: Path = OWN_FOLDER) -> dict[str, str]:
    """The engine's environment: ours, without the folder of PYTHONPATH that our own packages come from."""
    env = dict(environment)
    folders = [each for each in env.pop("PYTHONPATH", "").split(os.pathsep) if each and Path(each).resolve() != own]
    if folders:
        env["PYTHONPATH"] = os.pathsep.join(folders)
    return env


def exit_code(status: int) -> int:
    """A wait status as shells tell it: the code, or 128 + signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class Child:
    """A running engine. `exited` holds its exit code once it has ended."""

    def __init__(self, process: subprocess.Popen[bytes], exited: asyncio.Future[int], output: _Output) -> None:
        self._process = process
        self._output = output
        self.exited = exited
        self.pid = process.pid

    def signal(self, number: signal.Signals) -> None:
        """Sends to the whole process group; nothing happens if it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def last_lines(self) -> list[str]:
        """The end of the engine's output, after waiting briefly for what is still in the pipes."""
        return self._output.last_lines(_REST_SECONDS if self.exited.done() else 0.0)


class Children:
    """Starts the engine and reaps: it, and as process 1 of a container every orphan as well.

    One object owns SIGCHLD and calls waitpid for all of them; nothing else in this process may start children.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._exits: dict[int, tuple[subprocess.Popen[bytes], asyncio.Future[int]]] = {}
        loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Starts a child in a session of its own, so that its whole group can be signalled.

        Raises:
            OSError: the program cannot be started.
        """
        # The command is the engine's, from the operator, and no shell reads it.
        process = subprocess.Popen(  # noqa: S603 # nosec B603
            list(argv),
            env=child_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        exited: asyncio.Future[int] = self._loop.create_future()
        self._exits[process.pid] = process, exited
        output = _Output(process)
        self._reap()  # it may have ended before it was known here
        return Child(process, exited, output)

    def close(self) -> None:
        self._loop.remove_signal_handler(signal.SIGCHLD)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._exits:
                process, exited = self._exits.pop(pid)
                process.returncode = os.waitstatus_to_exitcode(status)  # Popen would otherwise wait for a pid that is gone
                if not exited.done():
                    exited.set_result(exit_code(status))


class _Output:
    """Copies the engine's stdout and stderr to ours in a thread: a container log that is read slowly must not block the agent."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 # both are pipes, see spawn
        assert process.stderr is not None  # noqa: S101
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self._copy,
            args=({process.stdout: sys.stdout.fileno(), process.stderr: sys.stderr.fileno()},),
            name="engine-output",
            daemon=True,
        )
        self._thread.start()

    def last_lines(self, wait_seconds: float) -> list[str]:
        self._thread.join(wait_seconds)
        with self._lock:
            return list(self._lines)

    def _copy(self, targets: dict[BinaryIO, int]) -> None:
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as pipes:
            unfinished: dict[BinaryIO, bytes] = {}
            for source in targets:
                pipes.enter_context(source)
                selector.register(source, selectors.EVENT_READ, source)
                unfinished[source] = b""
            while selector.get_map():
                for key, _ in selector.select():
                    source = key.data
                    data = os.read(source.fileno(), _READ_BYTES)
                    if not data:
                        selector.unregister(source)
                        self._keep(unfinished[source])
                        continue
                    _write(targets[source], data)
                    *lines, rest = (unfinished[source] + data).split(b"\n")
                    unfinished[source] = rest[-_LINE_CHARACTERS:]
                    self._keep(*lines)

    def _keep(self, *lines: bytes) -> None:
        with self._lock:
            self._lines.extend(
                line.decode(errors="replace").rstrip()[:_LINE_CHARACTERS] for line in lines[-_LINES:] if line.strip()
            )


def _write(target: int, data: bytes) -> None:
    view = memoryview(data)
    with contextlib.suppress(OSError):  # nobody reads the log any more; the engine goes on
        while view:
            view = view[os.write(target, view) :]
