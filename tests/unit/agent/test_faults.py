"""What GPUs did wrong, over a restart of the container."""

import logging
from pathlib import Path

import pytest

from fairlead_agent.faults import FaultFile, Faults

SOME = Faults(xids={"GPU-1": 79}, ecc={"GPU-1": 3, "GPU-2": 0})


def test_it_comes_back(tmp_path: Path) -> None:
    FaultFile(tmp_path / "faults").save(SOME)
    assert FaultFile(tmp_path / "faults").load() == SOME
    assert [each.name for each in tmp_path.iterdir()] == ["faults"], "nothing is left beside it"


def test_nothing_yet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert FaultFile(tmp_path / "faults").load() == Faults()
    assert not caplog.records


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"xids": {}}', '{"xids": [], "ecc": {}}', '{"xids": {"a": "79"}, "ecc": {}}', "1"]
)
def test_what_cannot_be_understood_is_told_and_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    (tmp_path / "faults").write_text(text)
    assert FaultFile(tmp_path / "faults").load() == Faults()
    assert [each.levelno for each in caplog.records] == [logging.WARNING]


def test_a_disk_that_takes_nothing_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    FaultFile(tmp_path / "no-folder" / "faults").save(SOME)
    assert "No such file" in caplog.text
