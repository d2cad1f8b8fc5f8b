import pytest
from prometheus_client.core import GaugeMetricFamily

from fairlead.api import generated
from tests import metrics_reference


def test_the_committed_page_is_up_to_date() -> None:
    assert generated.stale(metrics_reference.files()) == []


def test_labels_are_those_of_the_samples_and_a_counter_has_its_suffix() -> None:
    page = metrics_reference.page()
    assert "| `fairlead_reconcile_total` | counter | `result` | Visits of ModelDeployments" in page
    assert "| `fairlead_reconcile_duration_seconds` | histogram |  |" in page
    assert "| `fairlead_agent_xids_total` | counter | `uuid`, `xid` |" in page


def test_a_metric_without_a_sample_is_told() -> None:
    with pytest.raises(ValueError, match=r"fairlead_new has no sample here.*give it one in tests\.metrics_reference"):
        metrics_reference._row(GaugeMetricFamily("fairlead_new", "What", labels=["kind"]))


def test_names_are_those_that_the_page_has() -> None:
    families = [*metrics_reference.operator_families(), *metrics_reference.agent_families()]
    exposed = [metrics_reference.exposed(family) for family in families]
    assert len(exposed) == len(set(exposed))
    text = "# TYPE fairlead_a_total counter\nfairlead_a_total 1\n# TYPE fairlead_a_created gauge\nfairlead_a_created 1\n"
    assert metrics_reference.names(text + "# TYPE vllm:b gauge\nvllm:b 1\n") == {"fairlead_a_total"}
