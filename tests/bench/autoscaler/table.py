"""What came of a benchmark: the best of each sweep, as a table, and whether a peer was better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.autoscaler.runs import ORACLE, OURS, STATIC

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.bench.autoscaler.runs import Done

ENOUGH = 99.9
"""Percent of first tokens in time that a setting must reach to be judged by its price."""
GOOD = 99.0
"""Percent from which on reversals are compared: who leaves users waiting may well be calm."""
PINNED = 0.95
"""Share of the time at maxReplicas, or of what that costs, from which on a policy does not adapt."""
AIM = 1.10
"""Times the GPU-hours of the clairvoyant."""


def best(done: Iterable[Done]) -> Done:
    """Of one policy's settings: the cheapest that is good enough, or else the best."""
    ordered = list(done)
    enough = [each for each in ordered if each.result.attainment >= ENOUGH]
    if enough:
        return min(enough, key=lambda each: each.result.gpu_hours)
    return max(ordered, key=lambda each: (each.result.attainment, -each.result.gpu_hours))


def of(done: Sequence[Done], policy: str) -> list[Done]:
    """One policy's runs."""
    return [each for each in done if each.run.policy == policy]


def adaptive(done: Iterable[Done]) -> list[Done]:
    """The peers that change anything: one that has or pays for the most nearly all the time is static under another name."""
    return [each for each in done if each.run.policy not in {OURS, ORACLE, STATIC} and each.at_most < PINNED]


def rows(done: Sequence[Done]) -> list[str]:
    """A Markdown table of the runs on one trace with one cold start."""
    lines = [
        "| | setting | in time, % | p99, s | GPU-hours | changes | reversals |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for policy in dict.fromkeys(each.run.policy for each in done):
        chosen = best(of(done, policy))
        result = chosen.result
        setting = "default" if policy == OURS else f"{chosen.run.knob:g}"
        name = f"**{policy}**" if policy == OURS else policy
        p99 = f"{result.p99:.2f}" if result.p99 < 100 else f"{result.p99:.0f}"
        lines.append(
            f"| {name} | {setting} | {result.attainment:.3f} | {p99} | {result.gpu_hours:.1f} "
            f"| {result.changes} | {result.reversals} |"
        )
    return lines


def failures(done: Sequence[Done]) -> list[str]:
    """Where a peer is better than Fairlead on one trace with one cold start; empty: nowhere.

    At both at once: at any setting. By its reversals: at its best one, which the table shows (the others: `calmer`).
    """
    (ours,) = (each.result for each in of(done, OURS))
    found = []
    for each in adaptive(done):
        peer, name = each.result, f"{each.run.policy} at {each.run.knob:g}"
        if peer.attainment > ours.attainment and peer.gpu_hours < ours.gpu_hours:
            found.append(
                f"{name} is better at both: {peer.attainment:.3f} % for {peer.gpu_hours:.1f} GPU-hours, "
                f"Fairlead {ours.attainment:.3f} % for {ours.gpu_hours:.1f}"
            )
    for chosen in _chosen(done):
        if chosen.result.attainment >= GOOD and chosen.result.reversals <= ours.reversals:
            name = f"{chosen.run.policy} at {chosen.run.knob:g}"
            found.append(f"{name} reverses {chosen.result.reversals} times, Fairlead {ours.reversals}")
    return found


def _chosen(done: Sequence[Done]) -> list[Done]:
    """Of each peer that adapts: its best setting."""
    peers = adaptive(done)
    return [best(of(peers, policy)) for policy in dict.fromkeys(each.run.policy for each in peers)]


def calmer(done: Sequence[Done]) -> list[str]:
    """What reverses less often than Fairlead and does not count: not a peer's best setting, or pinned at the most."""
    (ours,) = (each.result for each in of(done, OURS))
    counted = _chosen(done)
    return [
        f"{each.run.policy} at {each.run.knob:g} reverses {each.result.reversals} times, Fairlead {ours.reversals}; it had "
        f"{each.result.attainment:.3f} % in time for {each.result.gpu_hours / ours.gpu_hours:.2f} times the GPU-hours"
        for each in done
        if each.run.policy not in {OURS, ORACLE, STATIC}
        and each.result.attainment >= GOOD
        and each.result.reversals < ours.reversals
        and each not in counted
    ]


def price(done: Sequence[Done]) -> tuple[float, float]:
    """Fairlead's GPU-hours over the clairvoyant's, and its percentage in time."""
    (ours,) = (each.result for each in of(done, OURS))
    return ours.gpu_hours / best(of(done, ORACLE)).result.gpu_hours, ours.attainment
