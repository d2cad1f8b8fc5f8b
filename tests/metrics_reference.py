"""docs/reference/metrics.md: every metric of the operator and of the agent, from the code that answers /metrics.

`python -m tests.metrics_reference` prints the page, `--write` writes it, `--check` says whether it is up to date. It is made here
and not in operator/src, since the operator and the agent share no code.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from fairlead.api.generated import Generated, main
from fairlead.autoscaler.load import Load
from fairlead.autoscaler.memory import Memory
from fairlead.autoscaler.policy import Decision
from fairlead.autoscaler.reasons import Reason
from fairlead.controller.autoscaling import Autoscaling
from fairlead.controller.metrics import Metrics
from fairlead.reconciler.kinds import DEPLOYMENT, MODEL_DEPLOYMENT, Key
from fairlead.reconciler.store import Store
from fairlead_agent.gpu import Device
from fairlead_agent.metrics import Facts, render
from fairlead_agent.readiness import Health
from fairlead_agent.reasons import Phase, Problem
from fairlead_agent.reasons import Reason as AgentReason
from tests.unit.autoscaler.test_report import INPUTS

COMMAND = "make docs"
PAGE = Path("docs/reference/metrics.md")
_OURS = "fairlead_"
_OF_BUCKETS = {"le"}


def operator_families() -> list[Metric]:
    """The operator's, with a sample of each."""
    metrics = Metrics(lambda: 0.0)
    metrics.wrote("apply", DEPLOYMENT)
    metrics.event(MODEL_DEPLOYMENT.name)
    autoscaling = Autoscaling(Store(), metrics.registry, None, lambda: 0.0)
    autoscaling._record.decided(Key("default", "chat"), Decision(2, Reason.STEADY, "", INPUTS, Memory(loads={"chat-0": Load()})))
    autoscaling._record.ticked(0.0, 0.0)
    return _ours(metrics.registry)


def agent_families() -> list[Metric]:
    """The agent's, with a sample of each."""
    facts = Facts(
        health=Health(Phase.READY, started=True, ready=True, live=True, problem=Problem(AgentReason.READY, "")),
        devices=(Device("GPU-1", total=1, used=0, free=1, ecc_uncorrected=0, utilization_percent=0),),
        engine_start=1.0,
        warmup=1.0,
        canaries={"returned": 1},
        xids={("GPU-1", 79): 1},
    )
    return [*text_string_to_metric_families(render(facts, "").decode())]


def names(page: str) -> set[str]:
    """The families of ours on a page of /metrics, as the reference calls them."""
    families = text_string_to_metric_families(page)
    return {exposed(each) for each in families if each.name.startswith(_OURS) and not each.name.endswith("_created")}


def exposed(family: Metric) -> str:
    """The name to ask Prometheus for; of a histogram without _bucket, _sum and _count."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def page() -> str:
    """The whole page."""
    return (
        f"<!-- Made by `{COMMAND}` from the code of operator and agent. Edit that, not this. -->\n\n"
        "# Metrics\n\nA histogram has `_bucket`, `_sum` and `_count` behind its name.\n\n"
        "## Operator\n\nPort `http` (8080) of its pods, `/metrics`; beside these those of a Python process (`process_…`, "
        "`python_…`). [What to alert on](../operator.md#metrics).\n\n"
        f"{_table(operator_families())}"
        "\n## Agent\n\nPort `agent` (8002) of each replica, `/metrics`; behind these follows the engine's own page. "
        "[What to alert on](../health.md#reasons-and-what-to-do).\n\n"
        f"{_table(agent_families())}"
        "\n## Sidecar\n\nPort `metrics` (8004) of each replica, `/stats/prometheus`: those of Envoy, as its documentation has "
        "them.\n"
    )


def _ours(registry: CollectorRegistry) -> list[Metric]:
    return [family for family in registry.collect() if family.name.startswith(_OURS)]


def _table(families: Iterable[Metric]) -> str:
    rows = [_row(family) for family in families]
    return "| Metric | Type | Labels | What |\n| --- | --- | --- | --- |\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(family: Metric) -> Sequence[str]:
    if not family.samples:
        raise ValueError(f"{family.name} has no sample here, and so its labels are not known: give it one in {__name__}")
    labels = dict.fromkeys(label for sample in family.samples for label in sample.labels if label not in _OF_BUCKETS)
    return f"`{exposed(family)}`", family.type, ", ".join(f"`{label}`" for label in labels), family.documentation


def files() -> tuple[Generated, ...]:
    """The committed page."""
    return (Generated(PAGE, page(), COMMAND),)


if __name__ == "__main__":
    sys.exit(main(__doc__, files))
