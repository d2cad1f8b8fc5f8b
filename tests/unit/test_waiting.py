"""The waiting that tests do: it must be able to fail."""

import pytest

from tests.waiting import DeadlineError, always, until


def test_until_gives_what_the_probe_gave() -> None:
    answers = iter([None, 0, "at last"])
    assert until("it comes", lambda: next(answers), seconds=5, every=0.001) == "at last"


def test_until_takes_a_failed_look_for_not_yet_and_tells_of_it() -> None:
    def fails() -> bool:
        raise AssertionError("no such pod")

    with pytest.raises(DeadlineError, match="not within 0 s: it comes; last seen: 'AssertionError: no such pod'"):
        until("it comes", fails, seconds=0.01, every=0.001)


def test_always_looks_more_than_once() -> None:
    assert always("true", lambda: True, seconds=0.05, every=0.001) > 1


def test_always_ends_at_the_first_look_that_fails() -> None:
    answers = iter([True, True, False, True])
    with pytest.raises(AssertionError, match="not ready"):
        always("ready", lambda: next(answers), seconds=5, every=0.001)
    assert next(answers) is True


def test_always_lets_a_failure_through() -> None:
    def fails() -> bool:
        raise KeyError("engine")

    with pytest.raises(KeyError):
        always("true", fails, seconds=5)
