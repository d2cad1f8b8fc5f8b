import re

import pytest

from fairlead.api.conditions import ConditionType, Reason
from fairlead_agent.reasons import Reason as AgentReason


def test_order_of_the_conditions() -> None:
    assert [str(each) for each in ConditionType] == [
        *("Ready", "ConfigurationValid", "ModelAvailable", "ReplicasAvailable", "Progressing", "Autoscaled", "Stalled"),
    ]


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_one_word_with_a_meaning(reason: Reason) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z]+", reason)
    assert re.fullmatch(r"\S.*[.]", reason.meaning)
    assert "\n" not in reason.meaning


@pytest.mark.parametrize("word", AgentReason)
def test_what_an_agent_says_is_a_reason(word: AgentReason) -> None:
    """Both sides keep the list, and neither imports the other."""
    assert Reason(word.value) == word.value
