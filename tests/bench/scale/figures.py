"""What the API server's audit log says of a run: when each ModelDeployment had its children, and who asked how often. Pure."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fairlead.reconciler.kinds import CHILDREN, MODEL_DEPLOYMENT

Entry = Mapping[str, Any]

_CHILDREN = frozenset(kind.plural for kind in CHILDREN)
_CONFIG = re.compile("-config-[0-9a-f]{10}$")


@dataclass
class Story:
    """One ModelDeployment, as far as the audit log tells it."""

    asked: datetime | None = None
    """When its creation reached the API server."""
    applied: dict[str, datetime] = field(default_factory=dict)
    """When each child was first answered for, by its resource."""

    @property
    def seconds(self) -> float | None:
        """From the creation to the answer about the last child; None: not all of it is there."""
        if self.asked is None or self.applied.keys() != _CHILDREN:
            return None
        return (max(self.applied.values()) - self.asked).total_seconds()


def stories(entries: Iterable[Entry], applier: str) -> dict[tuple[str, str], Story]:
    """Of each ModelDeployment that was made, by namespace and name; `applier` is the user who applies the children."""
    found: dict[tuple[str, str], Story] = {}
    for entry in entries:
        about = entry.get("objectRef") or {}
        if not answered_well(entry) or "subresource" in about:
            continue
        resource, namespace = about.get("resource", ""), about.get("namespace", "")
        if entry["verb"] == "create" and resource == MODEL_DEPLOYMENT.plural:
            story = found.setdefault((namespace, about["name"]), Story())
            story.asked = datetime.fromisoformat(entry["requestReceivedTimestamp"])
        elif entry["verb"] == "patch" and resource in _CHILDREN and entry["user"].get("username") == applier:
            owner = _CONFIG.sub("", about["name"])
            ended = datetime.fromisoformat(entry["stageTimestamp"])
            found.setdefault((namespace, owner), Story()).applied.setdefault(resource, ended)
    return {key: story for key, story in found.items() if story.asked is not None}


def answered_well(entry: Entry) -> bool:
    """Whether the request was answered with 2xx."""
    code: int = (entry.get("responseStatus") or {}).get("code", 0)
    return code // 100 == 2


def calls(entries: Iterable[Entry], user: str) -> Counter[str]:
    """A user's requests, by verb and resource; without watches, each of which is one request for many minutes, and the Lease."""
    counted: Counter[str] = Counter()
    for entry in entries:
        about = entry.get("objectRef") or {}
        if entry["user"].get("username") == user and entry["verb"] != "watch" and about.get("resource") not in {None, "leases"}:
            resource = "/".join(part for part in (about["resource"], about.get("subresource")) if part)
            counted[f"{entry['verb']} {resource}"] += 1
    return counted


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that is not exceeded by that share of them (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
