"""The termination message fits into what the kubelet keeps."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_agent.termination import MOST_BYTES, render, write


@given(st.text(max_size=5000), st.lists(st.text(max_size=500), max_size=60))
def test_never_more_than_the_kubelet_keeps(why: str, lines: list[str]) -> None:
    text = render(why.encode(errors="ignore").decode(), [each.encode(errors="ignore").decode() for each in lines])
    assert len(text.encode()) <= MOST_BYTES


def test_the_newest_lines_are_kept_in_order_after_the_reason() -> None:
    text = render("EngineExited: the engine ended with exit code 3", [f"line {number} " + "x" * 90 for number in range(100)])
    first, *rest = text.splitlines()
    assert first == "EngineExited: the engine ended with exit code 3"
    numbers = [int(line.split()[1]) for line in rest]
    assert numbers == list(range(numbers[0], 100))
    assert 35 <= len(numbers) <= 40


def test_a_file_that_cannot_be_written_is_only_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "no" / "such", "why")
    assert "no termination message" in caplog.text
    write(tmp_path / "log", "why", ["last"])
    assert (tmp_path / "log").read_text() == "why\nlast"
