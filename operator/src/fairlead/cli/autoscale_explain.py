"""`fairlead autoscale explain`: the last decisions about one ModelDeployment, as sentences."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fairlead.api.status import AutoscalingInputs
from fairlead.autoscaler.reasons import Reason
from fairlead.cli import cluster
from fairlead.cli.errors import UserError
from fairlead.reconciler.kinds import MODEL_DEPLOYMENT

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

DESCRIPTION = """
Says how many replicas a ModelDeployment should have, why, from which numbers that was decided, and what the last changes were.
Everything is read from its status: nothing is asked of the operator or of a replica.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("explain", help="the last decisions, as sentences", description=DESCRIPTION)
    parser.add_argument("name", metavar="NAME", help="of a ModelDeployment")
    cluster.add_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Read it and say it.

    Raises:
        UserError: there is none of that name, or no cluster.
    """
    live = asyncio.run(cluster.read(options, MODEL_DEPLOYMENT, options.name))
    print("\n".join(sentences(live, datetime.now(UTC))))


def sentences(live: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """What there is to say."""
    meta, spec, status = live["metadata"], live["spec"], live.get("status") or {}
    who, autoscaling, decided = f"{meta['namespace']}/{meta['name']}", spec.get("autoscaling"), status.get("autoscaling")
    if autoscaling is None:
        yield f"{who} has no spec.autoscaling: it has the {spec['replicas']} replicas of spec.replicas, whatever comes."
        return
    if autoscaling["mode"] == "External":
        yield (
            f"{who} leaves its replicas to another autoscaler (spec.autoscaling.mode is External), which has set spec.replicas "
            f"to {spec['replicas']}. Ask that one: kubectl describe hpa -n {meta['namespace']}"
        )
        return
    bounds = f"between {autoscaling['minReplicas']} and {autoscaling['maxReplicas']}"
    sets = autoscaling["mode"] == "Auto"
    if sets:
        yield f"The operator sets the replicas of {who}, {bounds}."
    else:
        yield f"The operator recommends the replicas of {who}, {bounds}; it has the {spec['replicas']} of spec.replicas."
    if not decided:
        yield "It has not decided yet, which takes it two seconds once there is a Deployment. Does the operator run?"
        return
    yield ""
    yield from _decision(decided, now, sets=sets)
    yield from _condition(status)
    changes = decided.get("changes") or []
    yield ""
    if changes:
        yield "Changes, the last one first:"
    else:
        yield f"It has not {'changed the' if sets else 'recommended another'} number since."
    for change in changes:
        # The mode may have been another one then.
        before, after = change["before"], change["after"]
        moved = f"would have been {after} instead of {before}" if change.get("recommended") else f"from {before} to {after}"
        yield f"  {_when(change['at'], now)}: {moved}. {_why(change)}"


def _decision(decided: Mapping[str, Any], now: datetime, *, sets: bool) -> Iterator[str]:
    number = _replicas(decided["desired"])
    yield f"{number if sets else f'It would be {number}'} since {_when(decided['since'], now)}. {_why(decided)}"
    for reason in Reason:
        if reason == decided["reason"]:
            yield f"  {reason} means: {reason.meaning}"
    if found := decided.get("inputs"):
        # An operator of another version may know fewer of them.
        seen = AutoscalingInputs.model_validate(found).to_wire()
        yield f"  It saw {_replicas(seen['ready'])} that serve, {seen['starting']} that start and {seen['terminating']} that end;"
        if seen["unreadable"]:
            yield f"  the load of {seen['unreadable']} was not known;"
        yield f"  {seen['running']} requests that ran and {seen['waiting']} that waited;"
        minute, moment, peak = (_full(seen[f"{name}Percent"]) for name in ("demand", "surge", "peak"))
        yield f"  demand for {minute} full replicas over the last minute, {moment} over a quarter of one,"
        forecast, start = _full(seen["forecastPercent"]), seen["coldStartSeconds"]
        yield f"  {peak} at most in the quiet window, and {forecast} by the time that another replica would serve ({start} s)."
        if "dutyCyclePercent" in seen:
            yield f"  The GPUs were busy for {seen['dutyCyclePercent']} % of the time."


def _condition(status: Mapping[str, Any]) -> Iterator[str]:
    for each in status.get("conditions") or []:
        if each["type"] == "Autoscaled" and each["status"] == "False" and each["reason"] != "RecommendedOnly":
            yield f"The number does not follow the demand: {each['reason']}: {each.get('message', '')}"


def _why(told: Mapping[str, Any]) -> str:
    return f"{told['reason']}: {told.get('message', '')}".rstrip(": ") + "."


def _replicas(number: int) -> str:
    return "1 replica" if number == 1 else f"{number} replicas"


def _full(percent: int) -> str:
    return f"{percent / 100:.1f}"


def _when(stamp: str, now: datetime) -> str:
    """The time of day in UTC, and how long ago."""
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        raise UserError(f"the status has {stamp!r} for a time; are this program and the operator of one version?") from None
    seconds = max(0, round((now - at).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= 2 * length or unit == "s":
            return f"{at:%Y-%m-%d %H:%M:%S} UTC ({seconds // length} {unit} ago)"
    raise AssertionError
