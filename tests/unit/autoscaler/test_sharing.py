"""Scarce GPUs: who asks for more, and who stands back."""

import pytest

from fairlead.autoscaler.sharing import Pool, Wish, refused
from fairlead.reconciler.kinds import Key

H100: Pool = ("nvidia.com/gpu", frozenset({("gpu", "h100")}))
ANY: Pool = ("nvidia.com/gpu", frozenset())


def wish(name: str, *, priority: int = 0, raises: bool = False, short: bool = False, pool: Pool = ANY) -> Wish:
    return Wish(Key("ns", name), pool, priority, raises, short)


LOW_ASKS = wish("asks", raises=True)

CASES = {
    "nobody waits": ([wish("a", raises=True), wish("b", raises=True)], {}),
    "one of the same priority waits": ([LOW_ASKS, wish("waits", short=True)], {"asks": "waits"}),
    "one of higher priority waits": ([LOW_ASKS, wish("waits", short=True, priority=5)], {"asks": "waits"}),
    "one of lower priority waits": ([wish("asks", raises=True, priority=5), wish("waits", short=True)], {}),
    "it waits itself, which the policy sees to": ([wish("a", raises=True, short=True)], {}),
    "other GPUs": ([LOW_ASKS, wish("waits", short=True, pool=H100)], {}),
    "who asks for nothing is refused nothing": ([wish("content"), wish("waits", short=True)], {}),
    "the highest of several is named": (
        [LOW_ASKS, wish("x", short=True, priority=1), wish("y", short=True, priority=9), wish("z", short=True)],
        {"asks": "y"},
    ),
    "two that wait, each behind the other's equal": (
        [wish("a", raises=True, short=True), wish("b", raises=True, short=True)],
        {"a": "b", "b": "a"},
    ),
}


@pytest.mark.parametrize(("wishes", "stand_back"), CASES.values(), ids=CASES)
def test_who_stands_back(wishes: list[Wish], stand_back: dict[str, str]) -> None:
    assert {key.name: first.key.name for key, first in refused(wishes).items()} == stand_back
