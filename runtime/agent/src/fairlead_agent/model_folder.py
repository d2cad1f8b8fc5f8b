"""Whether the model is where the engine will look for it: told before an engine is started that would end for want of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from fairlead_agent.reasons import Problem, Reason
from fairlead_agent.status import MOST_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead_agent.engines.protocol import Model

#: Entries of a folder that are looked at for those that are named, and bytes that a path has in a message.
_ENTRIES = 200
_PATH_BYTES = 40


class ModelFolder:
    """Looks in a thread of its own and never starts a second one: a network's file system can keep it for as long as it likes."""

    def __init__(self, model: Model | None, deadline: float) -> None:
        """`deadline`: seconds that one look may take; it takes milliseconds when all is well."""
        self._model = model
        self._deadline = deadline
        self._pending: asyncio.Future[str] | None = None

    async def problem(self) -> Problem | None:
        """Why the engine would not find its model; None also where there is nothing to look at."""
        if self._model is None:
            return None
        if self._pending is None:
            self._pending = asyncio.get_running_loop().create_future()
            threading.Thread(target=_look, args=(self._model, self._pending), name="model-folder", daemon=True).start()
        done, _ = await asyncio.wait([self._pending], timeout=self._deadline)
        if not done:
            what = f"{_short(self._model.folder)} has not been read for {self._deadline:.0f} s: does the volume's storage answer?"
            return Problem(Reason.MODEL_PATH_NOT_FOUND, what)
        lack, self._pending = self._pending.result(), None
        return Problem(Reason.MODEL_PATH_NOT_FOUND, lack) if lack else None


def _look(model: Model, answer: asyncio.Future[str]) -> None:
    lack = lacking(model)

    def put() -> None:
        if not answer.done():
            answer.set_result(lack)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        answer.get_loop().call_soon_threadsafe(put)


def lacking(model: Model) -> str:
    """What is missing, with the names of some that are there; empty if nothing is. It blocks."""
    folder = Path(model.folder)
    if not _is_folder(folder):
        parent = next(each for each in folder.parents if _is_folder(each))
        return _with_names(f"no folder {_short(folder)}", parent, _short(parent))
    try:
        os.scandir(folder).close()
    except OSError as error:
        return _unreadable(folder, error)
    return _without_config(folder, model.configs) if model.configs else ""


def _without_config(folder: Path, configs: Sequence[str]) -> str:
    for name in configs:
        try:
            (folder / name).open("rb").close()
        except FileNotFoundError:
            continue
        except OSError as error:
            return _unreadable(folder / name, error)
        return ""
    usual = folder / configs[0]
    if usual.is_symlink():
        return f"{_short(usual)} is a link to what is not there: copy files, not links"
    return _with_names(f"no {usual.name} in {_short(folder)}", folder, "it")


def _is_folder(path: Path) -> bool:
    """Also if it may not be looked at: that is told in its turn."""
    try:
        return path.is_dir()
    except OSError:
        return True


def _unreadable(path: Path, error: OSError) -> str:
    return f"cannot read {_short(path)} as user {os.getuid()}: {error.strerror}"


def _with_names(lack: str, folder: Path, called: str) -> str:
    """As many names of what is there as a message has room for, folders first."""
    try:
        with os.scandir(folder) as found:
            entries = list(itertools.islice((each for each in found if not each.name.startswith(".")), _ENTRIES))
    except OSError as error:
        return f"{lack}; {_unreadable(folder, error)}"
    folders = sorted(f"{each.name}/" for each in entries if each.is_dir() and each.name != "lost+found")
    names = folders + sorted(each.name for each in entries if not each.is_dir())
    if not names:
        return f"{lack}; {called} is empty"
    said = f"{lack}; found in {called}: "
    kept: list[str] = []
    for name in ("".join(each if each.isprintable() else "?" for each in name) for name in names):
        more = ", …" if len(kept) + 1 < len(names) else ""
        if len((said + ", ".join([*kept, name]) + more).encode()) > MOST_MESSAGE_BYTES:
            return said + ", ".join([*kept, "…"])
        kept.append(name)
    return said + ", ".join(kept)


def _short(path: str | Path) -> str:
    """The path, without its beginning if it is long: its end is what somebody has written."""
    text = str(path)
    return text if len(text.encode()) <= _PATH_BYTES else "…" + text.encode()[-_PATH_BYTES:].decode(errors="ignore")
