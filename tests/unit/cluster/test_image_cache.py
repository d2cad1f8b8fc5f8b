"""Folders made once: by whom, how often, and when they go."""

import os
import threading
import time
from pathlib import Path

import pytest

from tests.cluster.images.cache import forget, key, once


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(scratch: Path) -> None:
        made.append(scratch)
        (scratch / "file").write_text("content")

    target = tmp_path / "deep/thing"
    assert once(target, make) == once(target, make) == target
    assert len(made) == 1
    assert (target / "file").read_text() == "content"


def test_what_failed_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    target = tmp_path / "thing"

    def fail(scratch: Path) -> None:
        (scratch / "half").touch()
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 # the one above
        once(target, fail)
    assert [each.name for each in tmp_path.iterdir()] == [".thing.lock"]
    assert once(target, lambda scratch: (scratch / "whole").touch()) == target
    assert [each.name for each in target.iterdir()] == ["whole"]


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".thing.making-abc").mkdir()
    once(tmp_path / "thing", lambda scratch: (scratch / "file").touch())
    assert sorted(each.name for each in tmp_path.iterdir()) == [".thing.lock", "thing"]


def test_two_at_once_make_it_once(tmp_path: Path) -> None:
    made: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: Path) -> None:
        made.append(1)
        begun.set()
        assert go_on.wait(30)

    first = threading.Thread(target=once, args=(tmp_path / "thing", slow))
    second = threading.Thread(target=once, args=(tmp_path / "thing", lambda _: made.append(2)))
    first.start()
    assert begun.wait(30)
    second.start()
    go_on.set()
    first.join(30)
    second.join(30)
    assert made == [1]


@pytest.mark.parametrize(
    ("first", "second"),
    [(("a", "b"), ("ab",)), (("a", "b"), ("b", "a")), ((b"a",), (b"b",)), (("a", ""), ("a",))],
)
def test_other_inputs_have_another_key(first: tuple[str | bytes, ...], second: tuple[str | bytes, ...]) -> None:
    assert key(*first) != key(*second)


def test_the_key_of_a_folder_covers_names_and_bytes_but_no_byte_code(tmp_path: Path) -> None:
    def write(name: str, text: str) -> str:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return key(tmp_path)

    keys = [write("a", "1"), write("a", "2"), write("b", "2"), write("sub/b", "2")]
    assert len(set(keys)) == 4
    assert write("__pycache__/b.pyc", "2") == keys[-1]
    (tmp_path / "b").unlink()
    assert key(tmp_path) not in keys


def test_forget_removes_what_was_long_unused_and_nothing_else(tmp_path: Path) -> None:
    old = time.time() - 1000
    names = [
        "base-0123456789ab",
        "base-0123456789ab.layer",
        "base-ba9876543210",
        "buildah",
        "base-short",
        ".base-0123456789ab.lock",
    ]
    for name in names:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (old, old))
    (tmp_path / names[-1]).rmdir()
    once(tmp_path / "base-ba9876543210", lambda _: pytest.fail("it is there"))
    assert forget(tmp_path, unused_seconds=500) == ["base-0123456789ab", "base-0123456789ab.layer"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["base-ba9876543210", "base-short", "buildah"]
