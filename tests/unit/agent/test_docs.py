"""docs/health.md names everything that the agent can say."""

import re

import pytest

from fairlead_agent.engines.vllm import _SIGNS_OF_LIFE
from fairlead_agent.reasons import Phase, Reason
from fairlead_agent.sidecar import ACTIVE_REQUESTS, PROBE_BYTES
from fairlead_agent.xid import NON_FATAL
from tests.unit.agent.processes import ROOT

HEALTH = (ROOT / "docs/health.md").read_text()


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_meaning_and_something_to_do(reason: Reason) -> None:
    rows = re.findall(rf"^\| `{reason}` \| (.+?) \| (.+?) \|$", HEALTH.partition("## Reasons, and what to do")[2], re.MULTILINE)
    assert len(rows) == 1


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_is_named(phase: Phase) -> None:
    assert f"`{phase}`" in HEALTH


def test_lists_and_names_are_the_code_s() -> None:
    assert f"an Xid other than {', '.join(map(str, sorted(NON_FATAL)))} " in HEALTH
    assert ACTIVE_REQUESTS in HEALTH
    assert f"({PROBE_BYTES} bytes each" in HEALTH
    assert {name.removesuffix("_count").removesuffix("_sum") for name in _SIGNS_OF_LIFE} <= set(re.findall(r"`([^`]+)`", HEALTH))
