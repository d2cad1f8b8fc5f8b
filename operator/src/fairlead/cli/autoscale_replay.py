"""`fairlead autoscale replay`: what a spec's autoscaling would have made of traffic that was recorded."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fairlead.autoscaler.reasons import Reason
from fairlead.autoscaler.simulator import picture
from fairlead.autoscaler.simulator.engine import Engines, Model
from fairlead.autoscaler.simulator.models import MODELS
from fairlead.autoscaler.simulator.ours import Fairlead
from fairlead.autoscaler.simulator.play import FIRST_TOKEN, TICK, judge, play
from fairlead.autoscaler.simulator.trace import ANSWER, ARRIVAL, PROMPT, Trace, TraceError, read, repeated
from fairlead.autoscaler.spec import config
from fairlead.cli.errors import UserError
from fairlead.cli.files import documents, model_deployment

if TYPE_CHECKING:
    from fairlead.autoscaler.config import Config
    from fairlead.autoscaler.policy import Decision
    from fairlead.autoscaler.simulator.play import Played

POINTS = 400
"""Moments that are kept for the picture."""
DESCRIPTION = """
Simulates the replicas of a ModelDeployment under recorded traffic, with the policy that the operator runs, and draws replicas,
queue and first-token time over time. No cluster is asked, and nothing is changed.
"""
EPILOG = f"""
TRACE is a CSV file (or .csv.gz, .csv.xz) whose first line names its columns: the arrival in seconds or as a date and time
({", ".join(ARRIVAL)}), the tokens of the prompt ({", ".join(PROMPT)})
and those of the answer ({", ".join(ANSWER)}).
The Azure LLM inference traces and BurstGPT can be played as they are. The replicas are those of an engine on one GPU, by measured
constants: {", ".join(MODELS)}, or a YAML file with your own
({", ".join(field.name for field in fields(Model))}).
spec.engine.maxNumSeqs, where the ModelDeployment has it, counts instead of the engine's max_running. A request that never got a
token has waited until the end; a reversal is a change into the other direction within 10 minutes. What the API server would
refuse besides is not looked for: kubectl apply --dry-run=server tells it.
"""


_COLD_START = (
    "that a replica takes to start (default 120); spec.autoscaling.coldStartSeconds is what is expected before one was seen"
)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("replay", help="simulate a spec on recorded traffic", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("trace", type=Path, metavar="TRACE", help="CSV file with the traffic")
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="ModelDeployment with spec.autoscaling, as YAML"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="where to draw (default: the trace's name with .svg, here)")
    parser.add_argument("--engine", default="llama-3.1-8b-a100", help="name or file of its constants (default %(default)s)")
    parser.add_argument("--cold-start", type=_positive, default=120.0, metavar="SECONDS", help=_COLD_START)
    parser.add_argument("--times", type=_count, default=1, metavar="N", help="every request N times: N times the users")
    parser.add_argument("--start", type=_count, metavar="N", help="replicas at the beginning (default: minReplicas)")
    parser.add_argument(
        "--router",
        choices=("any", "fewest"),
        default="any",
        help="which replica gets a request: any, as by a Service (default), or the one with the fewest",
    )
    parser.add_argument("--changes", action="store_true", help="print each change, and why")
    parser.set_defaults(run=run)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; write seconds above 0, such as 120")
    return value


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} will not do; write a whole number from 1 on, such as 2")
    return value


def run(options: argparse.Namespace) -> None:
    """Play, print, draw.

    Raises:
        UserError: a file cannot be used.
    """
    settings, at_once = _settings(options.config)
    model = constants(options.engine)
    if at_once is not None:
        model = replace(model, name=f"{model.name}, maxNumSeqs {at_once}", max_running=at_once)
    target = _target(options.trace, options.picture)
    try:
        traffic = repeated(read(options.trace), options.times)
    except TraceError as error:
        raise UserError(str(error)) from None
    played, decisions = _play(options, settings, at_once, model, traffic)
    changed = [each for each in decisions if each.replicas != each.inputs.asked]
    title = f"{traffic.name}: {settings.min_replicas} to {settings.max_replicas} replicas, cold start {options.cold_start:g} s"
    refused = None
    # Before anything is printed: who reads that may stop at any line, and whatever becomes of the picture the rest is told.
    try:
        target.write_text(picture.replay(title, traffic, played), encoding="utf-8")
    except OSError as error:
        refused = f"{target}: cannot be written: {error.strerror}"
    if options.changes:
        for change, decision in zip(played.changes, changed, strict=True):
            print(f"{_clock(change.time)}  {change.before} -> {change.after}  {decision.reason}: {decision.message}")
    print("\n".join(_summary(model, traffic, played, changed)))
    short = sum(each.reason is Reason.AT_MAXIMUM for each in decisions) / max(len(decisions), 1)
    print(f"over the maximum  {100 * short:.1f} % of the time more were needed than maxReplicas")
    if refused:
        raise UserError(refused)
    print(f"picture           {target}")


def _target(trace: Path, picture: Path | None) -> Path:
    """Where to draw: never over the traffic."""
    name = trace.name.removesuffix(trace.suffix) if trace.suffix in {".gz", ".xz"} else trace.name
    target = picture or Path(name).with_suffix(".svg")
    if target.suffix != ".svg":
        raise UserError(f"--picture {target}: it is drawn as SVG; write a name that ends in .svg")
    if target.exists() and trace.exists() and target.samefile(trace):
        raise UserError(f"{target}: is the traffic itself; write another name with --picture")
    return target


def _settings(file: Path) -> tuple[Config, int | None]:
    """How replicas are counted, and spec.engine.maxNumSeqs."""
    spec = model_deployment(file).spec
    autoscaling = spec.autoscaling
    if autoscaling is None:
        raise UserError(f"{file}: has no spec.autoscaling; write at least\n  autoscaling:\n    maxReplicas: 4")
    if not autoscaling.decides or autoscaling.max_replicas is None:
        missing = "has no maxReplicas; write the most that may be bought, such as maxReplicas: 4"
        others = "leaves the number to others; write mode: Auto and maxReplicas"
        raise UserError(f"{file}: spec.autoscaling {missing if autoscaling.decides else others}")
    try:
        return config(autoscaling), spec.engine.max_num_seqs
    except ValueError as error:
        raise UserError(f"{file}: spec.autoscaling: {error}") from None


def constants(engine: str) -> Model:
    """An engine's, by its name or out of a file.

    Raises:
        UserError: there is neither.
    """
    if engine in MODELS:
        return MODELS[engine]
    file = Path(engine)
    if not file.exists():
        raise UserError(f"--engine {engine}: write one of {', '.join(MODELS)}, or the path of a YAML file with its constants")
    (values, *more) = documents(file) or [None]
    if more or not isinstance(values, dict):
        raise UserError(f"{file}: write the constants of one engine, such as step_base: 0.016")
    known = {field.name: field for field in fields(Model)}
    unknown = ", ".join(sorted({str(name) for name in values} - set(known)))
    missing = ", ".join(name for name, field in known.items() if field.default is MISSING and name not in values)
    if unknown or missing:
        raise UserError(f"{file}: lacks [{missing}], and does not know [{unknown}]; an engine has {', '.join(known)}")
    for name, value in values.items():
        whole = known[name].type == "int"
        if name != "name" and not (_is_number(value, whole=whole) and whole <= value < float("inf")):
            raise UserError(
                f"{file}: {name}: {value!r} will not do; write a {'whole ' if whole else ''}number, in seconds or tokens"
            )
    if not values["step_base"] and not values["step_decode"]:
        raise UserError(f"{file}: step_base and step_decode are 0, and no step takes any time; write seconds, such as 0.016")
    return Model(**values)


def _is_number(value: object, *, whole: bool) -> bool:
    return isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)


def _play(
    options: argparse.Namespace, settings: Config, at_once: int | None, model: Model, traffic: Trace
) -> tuple[Played, list[Decision]]:
    """What happened, and the decision of each look."""
    decisions: list[Decision] = []
    engines = Engines(model, traffic.arrival, traffic.prompt, traffic.output, any_replica=options.router == "any")

    def progress(now: float) -> None:
        if sys.stderr.isatty():
            print(f"\r{100 * now / traffic.seconds:3.0f} %", end="", file=sys.stderr, flush=True)

    played = play(
        engines,
        traffic,
        Fairlead(settings, decisions.append, at_once=at_once),
        cold_start=options.cold_start,
        start=options.start or settings.min_replicas,
        most=settings.max_replicas,
        every=max(traffic.seconds / POINTS, TICK),
        progress=progress,
    )
    if sys.stderr.isatty():
        print("\r     \r", end="", file=sys.stderr, flush=True)
    return played, decisions


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 3600:3d}:{int(seconds) % 3600 // 60:02d}:{int(seconds) % 60:02d}"


def _summary(model: Model, traffic: Trace, played: Played, changed: list[Decision]) -> list[str]:
    result = judge(traffic, played)
    reasons = Counter(decision.reason.value for decision in changed)
    return [
        f"traffic           {len(traffic)} requests in {_clock(traffic.seconds).strip()}",
        f"replicas of       {model.name}",
        f"in time           {result.attainment:.3f} % of first tokens within {FIRST_TOKEN:g} s",
        f"first token       median {result.median:.2f} s, p99 {result.p99:.2f} s",
        f"GPU-hours         {result.gpu_hours:.2f}",
        f"changes           {result.changes}, {result.reversals} of them reversals within 10 minutes",
        f"because of        {', '.join(f'{reason} {count}' for reason, count in reasons.most_common()) or 'nothing'}",
    ]
