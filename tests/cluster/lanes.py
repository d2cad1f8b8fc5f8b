"""`make test`: every lane in order, each with all it needs, and how long each took.

A lane that later ones build on stops the run when it fails; the others do not keep their neighbours from running, so
that one run tells everything that is wrong. The exit status is 1 as soon as one lane failed.

The cluster is left as it was found, and always down where the environment variable CI is set.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.cluster.kind.node import KIND


@dataclass(frozen=True)
class Lane:
    """One step: a make target, and whether the lanes after it can run without it."""

    target: str
    needed: bool


DEBIAN = Lane("debian", needed=True)
LANES = (
    DEBIAN,
    Lane("tools", needed=True),
    Lane("check", needed=False),
    Lane("supply-chain", needed=False),
    Lane("control-plane", needed=False),
    Lane("cluster-up", needed=True),
    Lane("images", needed=True),
    Lane("e2e", needed=False),
)


@dataclass(frozen=True)
class Outcome:
    lane: Lane
    seconds: float
    passed: bool


def make(target: str) -> bool:
    return subprocess.run(["make", target], check=False).returncode == 0


def cluster_is_up() -> bool:
    return subprocess.run([sys.executable, "-m", "tests.cluster", "status"], capture_output=True, check=False).returncode == 0


def lanes(environ: Mapping[str, str] = os.environ) -> tuple[Lane, ...]:
    """Those of this machine: a node of kind brings its own packages."""
    return tuple(lane for lane in LANES if lane != DEBIAN or environ.get("FAIRLEAD_CLUSTER") != KIND)


def run_lanes() -> list[Outcome]:
    outcomes = []
    for lane in lanes():
        print(f"\n=== make {lane.target}", flush=True)
        start = time.monotonic()
        passed = make(lane.target)
        outcomes.append(Outcome(lane, time.monotonic() - start, passed))
        if not passed and lane.needed:
            break
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """One line per lane, those that never ran included, and the sum."""
    ran = {outcome.lane: outcome for outcome in outcomes}
    lines = []
    for lane in lanes():
        outcome = ran.get(lane)
        if outcome is None:
            lines.append(f"  {lane.target:<16} {'-':>8}  not run")
        else:
            lines.append(f"  {lane.target:<16} {clock(outcome.seconds):>8}  {'passed' if outcome.passed else 'FAILED'}")
    lines.append(f"  {'in all':<16} {clock(sum(outcome.seconds for outcome in outcomes)):>8}")
    return "\n".join(lines)


def clock(seconds: float) -> str:
    """Minutes and seconds, as in 4:07."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def main() -> int:
    """Run all lanes; 0 if all passed, 130 after Ctrl-C."""
    keep = cluster_is_up() and "CI" not in os.environ
    status = 130
    try:
        outcomes = run_lanes()
        print("\n" + table(outcomes), flush=True)
        status = 0 if len(outcomes) == len(lanes()) and all(outcome.passed for outcome in outcomes) else 1
    except KeyboardInterrupt:
        print("\nStopped.", flush=True)
    finally:
        if not keep and not make("cluster-down"):
            status = status or 1
    return status


if __name__ == "__main__":
    sys.exit(main())
