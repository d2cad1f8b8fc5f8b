"""Traffic: when requests came, and how many tokens each had. Read from a CSV file, as several public traces are."""

from __future__ import annotations

import csv
import gzip
import lzma
import math
import random
from array import array
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Request = tuple[float, int, int]
"""Seconds since the beginning, tokens of the prompt, tokens of the answer."""

ARRIVAL = ("timestamp", "t_seconds", "arrival", "time")
PROMPT = ("contexttokens", "prompt_tokens", "input_tokens", "request tokens", "prompt")
ANSWER = ("generatedtokens", "completion_tokens", "output_tokens", "response tokens", "output")
"""Names of columns, in lower case: those of the Azure LLM traces and of BurstGPT, those of the OpenAI API, and ours."""
MOST_TOKENS = 10_000_000
"""Of a prompt or an answer: more is a number of something else."""
MOST_REQUESTS = 10_000_000
"""Each takes a quarter of a kilobyte while it is read."""
LONGEST_DAYS = 400
"""A day in milliseconds is a thousand days."""
SPREAD_SECONDS = 2.0
"""A copy of a request comes within so many seconds of it."""


class TraceError(Exception):
    """The file cannot be played; the message is for people."""


@dataclass(frozen=True)
class Trace:
    """Requests in the order of their arrival."""

    name: str
    arrival: array[float]
    """Seconds."""
    prompt: array[int]
    output: array[int]
    """Tokens, at least 1."""
    seconds: float

    def __len__(self) -> int:
        return len(self.arrival)


def trace(name: str, requests: Iterable[Request], seconds: float) -> Trace:
    """From requests in order."""
    arrival, prompt, output = array("d"), array("i"), array("i")
    for at, tokens, answer in requests:
        arrival.append(at)
        prompt.append(max(tokens, 1))
        output.append(max(answer, 1))
    return Trace(name, arrival, prompt, output, seconds)


def repeated(once: Trace, times: int) -> Trace:
    """Each request `times` times: so many times the users, with the same ups and downs.

    Raises:
        TraceError: they would be too many.
    """
    dice = random.Random(7)  # noqa: S311  # nosec B311: the same copies every time
    if times * len(once) > MOST_REQUESTS:
        raise TraceError(f"{once.name}: {times} times {len(once)} requests are more than the {MOST_REQUESTS} that can be played")
    rows = zip(once.arrival, once.prompt, once.output, strict=True)
    many = [
        (max(at + dice.uniform(-SPREAD_SECONDS, SPREAD_SECONDS), 0.0) if copy else at, prompt, output)
        for at, prompt, output in rows
        for copy in range(times)
    ]
    return trace(once.name, sorted(each for each in many if each[0] < once.seconds), once.seconds)


def read(file: Path) -> Trace:
    """A CSV file with a header, plain or compressed (.gz, .xz).

    Raises:
        TraceError: it cannot be read, lacks a column, or has a row that is no request.
    """
    try:
        with _open(file) as lines:
            rows = csv.reader(lines)
            columns = _columns(file, next(rows, []))
            requests = [_request(file, rows.line_num, row, columns) for row in rows if row]
    except FileNotFoundError:
        raise TraceError(f"{file}: there is no such file") from None
    except (OSError, UnicodeDecodeError, EOFError, lzma.LZMAError) as error:
        raise TraceError(f"{file}: cannot be read as a trace: {error}") from None
    if not requests:
        raise TraceError(f"{file}: has no request")
    requests.sort()
    first, last = requests[0][0], requests[-1][0]
    days = (last - first) / 86_400
    if days > LONGEST_DAYS:
        raise TraceError(f"{file}: its requests come within {days:.0f} days; is the arrival in seconds, and not in thousandths?")
    return trace(
        file.name.partition(".")[0],
        ((at - first, prompt, output) for at, prompt, output in requests),
        last - first + SPREAD_SECONDS,
    )


def _open(file: Path) -> IO[str]:
    """With or without the mark that spreadsheets put at the beginning of UTF-8."""
    if file.suffix == ".gz":
        return gzip.open(file, "rt", newline="", encoding="utf-8-sig")
    if file.suffix == ".xz":
        return lzma.open(file, "rt", newline="", encoding="utf-8-sig")
    return file.open(newline="", encoding="utf-8-sig")


def _columns(file: Path, header: Sequence[str]) -> list[int]:
    """Where a row has its arrival, prompt and answer."""
    names = [name.strip().lower() for name in header]
    found = []
    for wanted in (ARRIVAL, PROMPT, ANSWER):
        places = [names.index(name) for name in wanted if name in names]
        if not places:
            said = f"it is {','.join(header)[:200]!r}" if header else "the file is empty"
            names_of = ", ".join(wanted)
            raise TraceError(f"{file}: its first line must name the columns, with commas; {said}, with none of {names_of}")
        found.append(places[0])
    return found


def _request(file: Path, line: int, row: Sequence[str], columns: Sequence[int]) -> Request:
    try:
        at, prompt, answer = (row[column].strip() for column in columns)
        return _seconds(at), _tokens(prompt), _tokens(answer)
    except (ValueError, IndexError):
        raise TraceError(
            f"{file}, line {line}: {','.join(row)!r} is no request: write the arrival in seconds or as 2026-01-31 12:30:00.5, "
            f"and both token counts as whole numbers up to ten million"
        ) from None


def _tokens(text: str) -> int:
    number = int(text)
    if not 0 <= number <= MOST_TOKENS:
        raise ValueError(text)
    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        # What is beyond the sixth decimal is cut off: .NET writes seven.
        at = datetime.fromisoformat(text)
        # Not the time zone of whoever plays it: its summer time would open a gap of an hour, or fold two into one.
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise ValueError(text)
    return seconds
