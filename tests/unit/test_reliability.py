"""docs/reliability.md: every row is there, and every test that it names."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TEXT = (TESTS.parent / "docs" / "reliability.md").read_text()
ROWS = {*range(1, 20), *range(24, 27), 30, 31, *range(33, 37), 38, 40}
"""Faults for which neither a request gateway nor an autoscaler is needed. Their numbers stay, so that they can be spoken of."""
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


@dataclass(frozen=True)
class Row:
    number: int
    promise: str
    tests: str


def rows(text: str) -> list[Row]:
    """The tables' rows."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)]
    return [Row(int(number), promise, tests) for number, _, promise, tests in cells if number.isdecimal()]


@cache
def functions_of(file: str) -> frozenset[str]:
    """The names of the tests in a file."""
    path = TESTS / file
    if not path.exists():
        return frozenset()
    functions = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def wrong(row: Row) -> list[str]:
    """What is wrong with the tests that a row names."""
    named = NAMED.findall(row.tests)
    if not named and "none yet" not in row.tests:
        return ["names no test, and does not say `none yet`"]
    return [f"there is no test {file}::{name}" for file, name in named if name not in functions_of(file)]


def test_every_row_is_there_once() -> None:
    assert sorted(row.number for row in rows(TEXT)) == sorted(ROWS)


@pytest.mark.parametrize("row", rows(TEXT), ids=lambda row: str(row.number))
def test_the_tests_that_it_names_exist(row: Row) -> None:
    assert row.promise
    assert wrong(row) == []


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        ("", "names no test"),
        ("`unit/test_nowhere.py::test_x`", "there is no test"),
        ("`unit/test_reliability.py::test_nothing_of_that_name`", "there is no test"),
        ("`unit/test_reliability.py::rows`", "there is no test"),
    ],
)
def test_what_is_wrong_is_seen(tests: str, words: str) -> None:
    (problem,) = wrong(Row(1, "a promise", tests))
    assert words in problem


def test_a_row_of_a_table() -> None:
    assert rows("| Row | x | y | z |\n| --- | --- | --- | --- |\n| 7 | a | b | c |\n") == [Row(7, "b", "c")]
