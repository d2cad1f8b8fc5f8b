from pathlib import Path

import pytest

from fairlead.api import generated
from fairlead.api.generated import Generated

FILE = Generated(Path("folder/file.md"), "new\n", "make it")


def test_writing_mends_what_checking_finds(tmp_path: Path) -> None:
    assert generated.stale([FILE], tmp_path) == ["folder/file.md is missing: run `make it` and commit it"]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file.md").write_text("old\n")
    assert generated.stale([FILE], tmp_path) == ["folder/file.md is out of date: run `make it` and commit it"]
    generated.write([FILE], tmp_path)
    assert generated.stale([FILE], tmp_path) == []


def test_printing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generated.main("What it does.", lambda: [FILE], [], tmp_path) == 0
    assert capsys.readouterr().out == "new\n"
    assert not list(tmp_path.iterdir())


def test_check_fails_until_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generated.main("", lambda: [FILE], ["--check"], tmp_path) == 1
    assert capsys.readouterr().err == "folder/file.md is missing: run `make it` and commit it\n"
    assert generated.main("", lambda: [FILE], ["--write"], tmp_path) == 0
    assert generated.main("", lambda: [FILE], ["--check"], tmp_path) == 0
    assert capsys.readouterr().err == ""
