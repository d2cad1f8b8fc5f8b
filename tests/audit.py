"""What the API server has noted of the operator's requests."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import until

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
TAIL_BYTES = 1 << 16
"""Longer than any line: at level Metadata one has about 1 KiB."""


def entries(log: Path, since: int = 0) -> Iterator[dict[str, Any]]:
    """What is noted from a mark on, one by one: the log of a thousand models has more than 100 MB."""
    with log.open("rb") as opened:
        opened.seek(since)
        for line in opened:
            if not line.endswith(b"\n"):
                return  # it is half there yet
            yield json.loads(line)


@dataclass(frozen=True)
class Audit:
    """The audit log, level Metadata, as far as it is about one user and one namespace; None: all of them."""

    log: Path
    user: str | None
    namespace: str | None = None

    def mark(self) -> int:
        """The place from which to read later: the end of the last line that is there as a whole."""
        with self.log.open("rb") as log:
            start = max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES)
            log.seek(start)
            return start + log.read().rfind(b"\n") + 1

    def requests(self, since: int) -> list[dict[str, Any]]:
        """The user's requests since a mark. A caller without credentials has no user name."""
        ours = (each for each in entries(self.log, since) if self.user in (None, each["user"].get("username")))
        return [each for each in ours if self.namespace in (None, each.get("objectRef", {}).get("namespace"))]

    def writes(self, since: int) -> list[str]:
        """Verb and path of the user's writes since a mark, without those of a Lease: a leader renews it every 2 s."""
        written = [each for each in self.requests(since) if each["verb"] in WRITES]
        return [
            f"{each['verb']} {each['requestURI']}" for each in written if each.get("objectRef", {}).get("resource") != "leases"
        ]

    def settled(self, seconds: float, *, within: float = 60, every: float = 0.2) -> int:
        """Wait until the user has written nothing for so long; returns the mark of that moment."""
        mark, since = self.mark(), time.monotonic()

        def quiet() -> bool:
            nonlocal mark, since
            now = self.mark()
            if self.writes(mark):
                mark, since = now, time.monotonic()
            return time.monotonic() - since > seconds

        until("the operator has settled", quiet, seconds=within, every=every)
        return self.mark()
