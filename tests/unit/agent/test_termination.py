"""The termination message fits into what the kubelet keeps."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_agent.child import _LINES
from fairlead_agent.engines.vllm import VLLM
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


#: vLLM 0.32 with two processes below the one that was started, given a model without weights.
WITHOUT_WEIGHTS = (Path(__file__).with_name("vllm-0.32-without-weights.log")).read_text().splitlines()
POINTS_UP = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}"


def test_of_a_real_crash_the_cause_is_in_front_and_the_newest_lines_behind() -> None:
    found = VLLM.cause(WITHOUT_WEIGHTS)
    assert found == "RuntimeError: Cannot find any model weights with `/models/tiny`"
    after = len(WITHOUT_WEIGHTS) - next(at for at, line in enumerate(WITHOUT_WEIGHTS) if found in line)
    assert 100 < after < _LINES // 2, "so many lines tell it from the end"
    lines = render(f"EngineExited: {found}", WITHOUT_WEIGHTS).splitlines()
    assert lines[0].endswith(found)
    assert lines[-1] == POINTS_UP
    assert lines[1:] == WITHOUT_WEIGHTS[1 - len(lines) :]


#: What a program has written last, and what that says of its end.
LAST_WORDS: dict[str, tuple[list[str], str]] = {
    "nothing": ([], ""),
    "no error": (["INFO 11-30 07:09:54 [a.py:1] fine", "Killed"], ""),
    "only what points up": ([POINTS_UP], ""),
    "a plain error": (["Traceback (most recent call last):", '  File "a.py", line 1', "KeyError: 'x'"], "KeyError: 'x'"),
    "one without words": (["NotImplementedError"], "NotImplementedError"),
    "one in another's wake": (
        ["huggingface_hub.errors.HFValidationError: Repo id", "The above exception was …", "OSError: no such model", "INFO"],
        "OSError: no such model",
    ),
    "of a process and of its log": (
        ["(Worker_TP0 pid=7) ERROR 11-30 07:09:54 [a.py:953] torch.OutOfMemoryError: CUDA out of memory.", POINTS_UP],
        "torch.OutOfMemoryError: CUDA out of memory.",
    ),
    "over several lines": (
        [
            "(APIServer pid=7) pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig",
            "(APIServer pid=7)   Value error, too long",
            "(APIServer pid=7)     For further information visit the page",
        ],
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig Value error, too long",
    ),
    "a line of code": (["    raise ValueError: no"], ""),
    "a word with Error in it": (["ErrorBoundary is set"], ""),
}


@pytest.mark.parametrize(("lines", "found"), LAST_WORDS.values(), ids=LAST_WORDS)
def test_the_error_that_says_why(lines: list[str], found: str) -> None:
    assert VLLM.cause(lines) == found


def test_a_long_error_is_cut() -> None:
    assert len(VLLM.cause(["ValueError: " + "x" * 1000])) == 300


@given(st.lists(st.text(alphabet="(pid=1) ERROR:\n 12[].Exception", max_size=60), max_size=20))
def test_no_words_raise(lines: list[str]) -> None:
    assert len(VLLM.cause(lines)) <= 300
