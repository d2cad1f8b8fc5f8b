import gc
import weakref
from collections.abc import Iterator

import pytest

from fairlead.controller import heap


class Ring:
    """Garbage that only the collector finds, once nobody has it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_is_there_is_looked_at_no_more() -> None:
    there = Ring()
    heap.settle()
    assert gc.get_freeze_count() > 0
    assert all(each is not there for each in gc.get_objects())


def test_garbage_is_not_kept_for_ever() -> None:
    garbage = weakref.ref(Ring())
    heap.settle()
    assert garbage() is None
