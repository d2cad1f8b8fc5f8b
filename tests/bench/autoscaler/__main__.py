"""Fairlead's autoscaler and its peers' on a simulated day.

    python -m tests.bench.autoscaler [--quick] [--traces FOLDER] [--tune] [--cold-starts 30,120,300] [--pictures FOLDER]
        [--engine NAME] [--any-replica]

Exit status 1: on a trace with a cold start an adaptive peer, at any of its settings, had more first tokens in time for fewer
GPU-hours, or it reversed no more often than Fairlead and had 99 % in time.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fairlead.autoscaler.config import Config
from fairlead.autoscaler.simulator.models import MODELS
from tests.bench.autoscaler import clairvoyant, picture, table, traffic
from tests.bench.autoscaler.runs import MOST, ORACLE, OURS, Done, Setting, plan, play

if TYPE_CHECKING:
    from fairlead.autoscaler.simulator.engine import Model
    from fairlead.autoscaler.simulator.trace import Trace

QUICK_SECONDS = 6 * 3600.0
TUNE_SEED, REPORT_SEED = 1, 2
"""Defaults are chosen on days with odd seeds and on the first halves of recorded traces, and reported on the others."""


def traces(folder: Path | None, *, tune: bool, quick: bool) -> list[Trace]:
    """The traffic to play."""
    seed = TUNE_SEED if tune else REPORT_SEED
    found = [traffic.synthetic(seed, QUICK_SECONDS if quick else traffic.DAY)]
    if folder is not None:
        found += [traffic.half(whole, 0 if tune else 1) for whole in traffic.recorded(folder)]
    return found


def show(name: str, cold_start: float, done: list[Done]) -> list[str]:
    """Print a table; what failed."""
    print(f"\n### {name}, cold start {cold_start:g} s\n")
    print("\n".join(table.rows(done)))
    ratio, attainment = table.price(done)
    reached = attainment >= table.ENOUGH and ratio <= table.AIM
    print(f"\nFairlead takes {ratio:.2f} times the GPU-hours of the clairvoyant{' (aim reached)' if reached else ''}.")
    for each in table.calmer(done):
        print(f"Calmer, at its price: {each}.")
    failed = table.failures(done)
    for line in failed:
        print(f"FAILED: {line}")
    sys.stdout.flush()
    return failed


def draw(folder: Path, model: Model, played: Trace, done: list[Done]) -> None:
    """The pictures of one table."""
    folder.mkdir(parents=True, exist_ok=True)
    name, cold_start = played.name, done[0].run.cold_start
    stem = f"{'-'.join(name.lower().replace(',', '').replace('.', '').split())}-{cold_start:g}s"
    (folder / f"{stem}.svg").write_text(picture.frontier(f"{name}, cold start {cold_start:g} s", done))
    ours, oracle = (table.best(table.of(done, policy)) for policy in (OURS, ORACLE))
    work = clairvoyant.work(model, played)
    (folder / f"{stem}-replicas.svg").write_text(picture.day(f"{name}, cold start {cold_start:g} s", work, ours, oracle))


def main() -> int:
    """Play, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="six hours, one cold start, half of the settings")
    parser.add_argument("--traces", type=Path, help="a folder with recorded traces to play as well")
    parser.add_argument("--tune", action="store_true", help="the traffic that defaults are chosen on")
    parser.add_argument("--cold-starts", default="", help="seconds, with commas (default 30,120,300)")
    parser.add_argument("--pictures", type=Path, help="a folder for pictures")
    parser.add_argument("--engine", choices=sorted(MODELS), default="llama-3.1-8b-a100", help="(default llama-3.1-8b-a100)")
    parser.add_argument("--any-replica", action="store_true", help="requests go to any replica, as by a Service")
    options = parser.parse_args()
    setting = Setting(MODELS[options.engine], Config(min_replicas=1, max_replicas=MOST), options.any_replica)
    began = time.monotonic()
    cold_starts = [float(each) for each in (options.cold_starts or ("120" if options.quick else "30,120,300")).split(",")]
    played = traces(options.traces, tune=options.tune, quick=options.quick)
    for each in played:
        print(f"{each.name}: {len(each)} requests in {each.seconds / 3600:g} h")
    print(f"served by up to {MOST} replicas of {setting.model.name}")
    sys.stdout.flush()
    failed: list[str] = []
    table_of: list[Done] = []
    for done in play(played, plan(len(played), cold_starts, quick=options.quick), setting):
        if table_of and (done.run.trace, done.run.cold_start) != (table_of[0].run.trace, table_of[0].run.cold_start):
            failed += finish(setting, played, table_of, options.pictures)
            table_of = []
        table_of.append(done)
    failed += finish(setting, played, table_of, options.pictures)
    print(f"\n{time.monotonic() - began:.0f} s; {'the gate holds' if not failed else f'{len(failed)} failures of the gate'}")
    return 1 if failed else 0


def finish(setting: Setting, played: list[Trace], done: list[Done], pictures: Path | None) -> list[str]:
    """One table is complete."""
    run = done[0].run
    if pictures is not None:
        draw(pictures, setting.model, played[run.trace], done)
    return show(played[run.trace].name, run.cold_start, done)


if __name__ == "__main__":
    sys.exit(main())
