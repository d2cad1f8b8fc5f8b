"""What the API server has noted of the operator's requests."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import until

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
TAIL_BYTES = 1 << 16
"""Longer than any line: at level Metadata one has about 1 KiB."""


@dataclass(frozen=True)
class Audit:
    """The audit log, level Metadata, as far as it is about one user and, where one is named, one namespace."""

    log: Path
    user: str
    namespace: str | None = None

    def mark(self) -> int:
        """The place from which to read later: the end of the last line that is there as a whole."""
        with self.log.open("rb") as log:
            start = max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES)
            log.seek(start)
            return start + log.read().rfind(b"\n") + 1

    def requests(self, since: int) -> list[dict[str, Any]]:
        """The user's requests since a mark. A caller without credentials has no user name."""
        with self.log.open("rb") as log:
            log.seek(since)
            entries = [json.loads(line) for line in log.read().splitlines(keepends=True) if line.endswith(b"\n")]
        ours = [each for each in entries if each["user"].get("username") == self.user]
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
