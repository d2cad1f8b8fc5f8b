"""A log line."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fairlead.controller import logs


def line(record: logging.LogRecord) -> dict[str, Any]:
    text = logs.JsonFormatter().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def record(message: str = "done %s", *args: object, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("fairlead.x", logging.INFO, "x.py", 1, message, args or ("so",), None)
    made.__dict__.update(extra)
    made.created = 1767225600.5
    return made


def test_its_fields() -> None:
    assert line(record()) == {"time": "2026-01-01T00:00:00.500Z", "level": "info", "logger": "fairlead.x", "message": "done so"}


def test_the_key_comes_from_the_task_in_hand_the_record_or_kopf() -> None:
    token = logs.key_in_hand.set("ns/chat")
    try:
        assert line(record())["key"] == "ns/chat"
        assert line(record(key="ns/other"))["key"] == "ns/other"
    finally:
        logs.key_in_hand.reset(token)
    assert line(record(k8s_ref={"namespace": "ns", "name": "pod-1"}))["key"] == "ns/pod-1"
    assert line(record(k8s_ref={"name": "cluster-wide"}))["key"] == "cluster-wide"


def test_what_else_hangs_on_a_record_stays_out() -> None:
    assert "hunter2" not in json.dumps(line(record(password="hunter2", settings={"token": "hunter2"})))  # noqa: S106


def test_an_error_keeps_to_one_line() -> None:
    error = ValueError("broken")
    assert line(record(exc_info=(type(error), error, None)))["error"] == "ValueError: broken"


@asynccontextmanager
async def stubborn() -> AsyncIterator[None]:
    try:
        yield
    except GeneratorExit:
        yield  # as a generator must not


async def watch() -> AsyncIterator[int]:
    async with stubborn():
        yield 1


async def other_error() -> AsyncIterator[int]:
    try:
        yield 1
    finally:
        raise ValueError("lost")


@pytest.mark.parametrize(("generator", "said"), [(watch, []), (other_error, ["lost"])])
def test_watches_that_end_at_an_event_leave_no_traceback(
    generator: Callable[[], AsyncIterator[int]], said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def end_in_the_middle() -> None:
        asyncio.get_running_loop().set_exception_handler(logs.without_the_last_words_of_watches)
        left.append(generator())
        await anext(left[0])

    left: list[AsyncIterator[int]] = []
    with caplog.at_level(logging.INFO):
        asyncio.run(end_in_the_middle())
    assert [str(each.exc_info[1]) for each in caplog.records if each.exc_info] == said


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, root.handlers[:], {name: logging.getLogger(name).level for name in logs._QUIET})
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.mark.usefixtures("logging_as_it_was")
def test_libraries_speak_the_same_way_and_less(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug")
    logging.getLogger("fairlead.x").debug("ours")
    logging.getLogger("kopf.reactor").info("theirs")
    logging.getLogger("kopf.objects").info("every handler call")
    logging.getLogger("kubernetes.aio.client.rest").debug("Authorization: bearer x")
    lines = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert [each["message"] for each in lines] == ["ours", "theirs"]
