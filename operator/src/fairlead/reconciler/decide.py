"""What to write: the children as they are wanted against the children as they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fairlead.api.conditions import Reason
from fairlead.reconciler.diff import differences
from fairlead.reconciler.kinds import CONFIG_MAP, MODEL_DEPLOYMENT, SERVICE_ACCOUNT, Manifest
from fairlead.resources.engine_flags.validate import Problem
from fairlead.resources.names import FIELD_MANAGER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from fairlead.reconciler.diff import Path


@dataclass(frozen=True)
class Write:
    """A child to apply, and why."""

    manifest: Manifest
    paths: tuple[Path, ...] = ()
    """What differs; empty: the object is not there."""


@dataclass(frozen=True)
class Plan:
    """What to do about the children."""

    writes: tuple[Write, ...] = ()
    conflicts: tuple[Problem, ...] = field(default=())
    """Objects in the way. With one of them nothing is written at all."""


def controller_of(live: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The owner that controls an object."""
    return next((owner for owner in live["metadata"].get("ownerReferences") or [] if owner.get("controller")), None)


def is_ours(live: Mapping[str, Any], uid: str) -> bool:
    """Whether an object belongs to the ModelDeployment of that uid.

    It does if it is controlled by it. It also does if nothing controls it and Fairlead has applied it once: somebody has
    taken the owner reference off, or deleted the ModelDeployment with --cascade=orphan and now makes it again.
    """
    owner = controller_of(live)
    if owner is not None:
        return bool(owner["uid"] == uid)
    managers = live["metadata"].get("managedFields") or []
    return any(entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" for entry in managers)


def plan(uid: str, wanted: Sequence[Manifest], live: Mapping[tuple[str, str], Manifest]) -> Plan:
    """What to do.

    Args:
        uid: of the ModelDeployment.
        wanted: its children as they should be, in the order in which to write them.
        live: the objects under the names of those children, by kind and name, whoever they belong to.
    """
    writes: list[Write] = []
    conflicts: list[Problem] = []
    for manifest in wanted:
        there = live.get(place(manifest))
        if there is None:
            writes.append(Write(manifest))
        elif not is_ours(there, uid):
            conflicts.append(_conflict(manifest, there))
        elif paths := differences(manifest, there):
            writes.append(Write(_pinned(manifest, there), tuple(paths)))
    return Plan(conflicts=tuple(conflicts)) if conflicts else Plan(tuple(writes))


def mounted(pod: Mapping[str, Any]) -> set[str]:
    """The names of the ConfigMaps that a pod, or the template of pods, mounts."""
    return {volume["configMap"]["name"] for volume in pod["spec"].get("volumes") or [] if "configMap" in volume}


def needs(pod: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Kind and name of what a pod, or one that is made from a template, cannot start without: of children that may be several."""
    account = pod["spec"].get("serviceAccountName")
    return {(CONFIG_MAP.name, name) for name in mounted(pod)} | ({(SERVICE_ACCOUNT.name, account)} if account else set())


def place(manifest: Mapping[str, Any]) -> tuple[str, str]:
    """Its kind and name."""
    return manifest["kind"], manifest["metadata"]["name"]


def _pinned(manifest: Manifest, live: Mapping[str, Any]) -> Manifest:
    """The manifest for exactly this live object: one that takes its name meanwhile is not overwritten."""
    return {**manifest, "metadata": {**manifest["metadata"], "uid": live["metadata"]["uid"]}}


def _conflict(manifest: Mapping[str, Any], there: Mapping[str, Any]) -> Problem:
    kind, name = place(manifest)
    owner = controller_of(there)
    if owner is None:
        who = "was not made by Fairlead"
    elif owner["kind"] == MODEL_DEPLOYMENT.name and owner["name"] == manifest["metadata"]["ownerReferences"][0]["name"]:
        who = "still belongs to a deleted ModelDeployment of the same name and is being removed"
        return Problem(Reason.NAME_CONFLICT, f"{kind} {name} {who}")
    else:
        who = f"belongs to {owner['kind']} {owner['name']}"
    return Problem(
        Reason.NAME_CONFLICT, f"{kind} {name} exists already and {who}; delete it, or name the ModelDeployment differently"
    )
