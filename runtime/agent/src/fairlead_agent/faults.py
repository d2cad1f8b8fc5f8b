"""What a GPU did wrong, kept for the next agent in the same pod.

A fatal Xid or an uncorrected ECC error mostly ends the engine too, and the kubelet starts the container again on the same GPU:
without a memory, the new agent would take the counters as it finds them for sound. The pod's /tmp outlives the container.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Faults:
    """By UUID. `xids`: the first fatal Xid. `ecc`: the least count of uncorrected errors ever seen, above which all are new."""

    xids: Mapping[str, int] = field(default_factory=dict)
    ecc: Mapping[str, int] = field(default_factory=dict)


class FaultFile:
    """Keeps them in a small JSON file. What cannot be read or written is logged and ends nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Faults:
        """No faults where there is no file, or none that this agent understands."""
        try:
            raw = json.loads(self._path.read_text(encoding="utf-8"))
            return Faults(_counts(raw["xids"]), _counts(raw["ecc"]))
        except FileNotFoundError:
            return Faults()
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("what GPUs did before is not known, %s: %r", self._path, error)
            return Faults()

    def save(self, faults: Faults) -> None:
        """By rename, so that a reader never finds half of it."""
        scratch = self._path.with_name(self._path.name + ".new")
        try:
            scratch.write_text(json.dumps(asdict(faults)), encoding="utf-8")
            scratch.replace(self._path)
        except OSError as error:
            logger.warning("what GPUs did is not kept, %s: %s", self._path, error.strerror)


def _counts(raw: Any) -> dict[str, int]:
    """Raises ValueError for anything but an object of integers."""
    if not isinstance(raw, dict) or not all(type(each) is int for each in raw.values()):
        raise ValueError(f"not an object of integers: {raw!r}")
    return raw
