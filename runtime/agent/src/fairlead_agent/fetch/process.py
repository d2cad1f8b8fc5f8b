"""The world of a download: the child process, the token's file, the volume."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fairlead_agent.fetch import download
from fairlead_agent.fetch.course import Snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from fairlead_agent.fetch.config import FetchConfig

_KEPT = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Of the container's environment; the image's own authorities may stand in the last two."""
_SET = {
    # One way to download, over plain HTTPS: its errors can be told apart, and it goes on where it was cut.
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HOME": "/tmp/huggingface",  # noqa: S108 # nosec B108 # the pod's own volume
    "DO_NOT_TRACK": "1",
}


def python_of(command: str) -> list[str]:
    """The words that start the Python of a command: those of its first line.

    Raises:
        FileNotFoundError: there is no such command, or it is not Python's.
    """
    found = shutil.which(command)
    if found is None:
        raise FileNotFoundError(2, "no such command in the image", command)
    with Path(found).open("rb") as file:
        first = file.readline(4096)
    if not first.startswith(b"#!") or b"python" not in first:
        raise FileNotFoundError(2, "its first line names no Python", found)
    return os.fsdecode(first.removeprefix(b"#!").strip()).split()


def environment(own: Mapping[str, str], endpoint: str) -> dict[str, str]:
    """The child's environment: nothing of the user's, no credential."""
    return {name: own[name] for name in _KEPT if name in own} | _SET | {"HF_ENDPOINT": endpoint}


class Child:
    """A running download.py in a session of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def lines(self) -> AsyncIterator[bytes]:
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        async for line in self._process.stdout:
            yield line
        await self._process.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


class Machine:
    """The course's world, for real."""

    def __init__(self, config: FetchConfig) -> None:
        self._config = config
        self._note = config.folder.with_suffix(".json")

    async def start(self, commit: str) -> Child:
        config = self._config
        arguments = [
            f"--endpoint={config.endpoint}",
            f"--repository={config.repository}",
            f"--revision={config.revision}",
            f"--commit={commit}",
            f"--folder={config.folder}",
            *([f"--token-file={config.token.file}"] if config.token else []),
        ]
        process = await asyncio.create_subprocess_exec(
            *python_of(config.command),
            "-I",
            str(Path(download.__file__)),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=environment(os.environ, config.endpoint),
            start_new_session=True,
        )
        return Child(process)

    def token(self) -> str:
        if self._config.token is None:
            return ""
        try:
            return self._config.token.file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def bytes_there(self) -> int:
        return download.on_disk(self._config.folder)

    def remember(self, snapshot: Snapshot) -> None:
        note = self._model() | asdict(snapshot)
        scratch = self._note.with_suffix(".new")
        scratch.write_text(json.dumps(note), encoding="utf-8")
        scratch.replace(self._note)

    def remembered(self) -> Snapshot | None:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if {name: note[name] for name in self._model()} != self._model():
                return None
            return Snapshot(str(note["commit"]), int(note["size"]), whole=note["whole"] is True)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _model(self) -> dict[str, str]:
        return {"repository": self._config.repository, "revision": self._config.revision}
