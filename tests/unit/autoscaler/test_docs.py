"""docs/autoscaling.md says what there is."""

from dataclasses import fields
from pathlib import Path

from fairlead.api.autoscaling import Autoscaling
from fairlead.autoscaler import spec
from fairlead.autoscaler.config import DUTY_STALE_SECONDS, STALE_SECONDS, Config
from fairlead.autoscaler.learning import STUCK
from fairlead.autoscaler.policy import MOST_REGRETS
from fairlead.autoscaler.prometheus import PERIOD_SECONDS
from fairlead.autoscaler.reasons import Reason
from fairlead.autoscaler.report import APART_SECONDS, STOOD_SECONDS
from fairlead.autoscaler.sharing import PATIENCE_SECONDS

TEXT = (Path(__file__).parents[3] / "docs" / "autoscaling.md").read_text()


def test_each_reason_is_explained() -> None:
    table = TEXT.partition("## Reasons\n")[2].partition("\n## ")[0]
    assert [f"| `{reason}` | {reason.meaning} |" for reason in Reason] == table.strip().splitlines()[2:]


def test_the_times_are_those_of_the_code() -> None:
    assert f"older than {STALE_SECONDS:.0f} s ({DUTY_STALE_SECONDS:.0f} s for a duty cycle)" in TEXT
    assert (f"has stood for {STOOD_SECONDS:.0f} s" in TEXT, APART_SECONDS) == (True, 60 / 2)
    assert f"has waited for one for less than {PATIENCE_SECONDS:.0f} s" in TEXT
    assert (f"up to {4**MOST_REGRETS}." in TEXT, "more than three times as long" in TEXT, STUCK) == (True, True, 3)
    assert f"every {PERIOD_SECONDS:.0f} s. Credentials" in TEXT


def test_the_defaults_of_the_api_are_those_of_the_policy() -> None:
    """The policy's were chosen by measurement, and the API writes them into each object."""
    given = Autoscaling(max_replicas=Config().max_replicas)
    assert spec.config(given) == Config()


def test_every_setting_of_the_policy_is_the_users() -> None:
    assert {each.name for each in fields(Config)} <= Autoscaling.model_fields.keys()
