import fcntl
import threading
from pathlib import Path

from tests.cluster.layout import Layout
from tests.cluster.locking import locked, remove_lock
from tests.waiting import until


def held(layout: Layout) -> bool:
    with layout.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_it_is_held_and_let_go(tmp_path: Path) -> None:
    layout = Layout(tmp_path, Path("/clone"))
    with locked(layout):
        assert held(layout)
    assert not held(layout)


def test_one_that_waited_for_a_file_that_is_gone_locks_the_one_that_is_there(tmp_path: Path) -> None:
    layout = Layout(tmp_path, Path("/clone"))
    order: list[str] = []
    waits = threading.Event()

    def second() -> None:
        waits.set()
        with locked(layout):
            order.append("second")
            assert held(layout)

    with locked(layout):
        waiting = threading.Thread(target=second)
        waiting.start()
        waits.wait(10)
        # It has the old file open, and waits for it.
        mine = str(layout.lock.stat().st_ino)
        until("the other waits", lambda: any("->" in line and f":{mine} " in line for line in locks()), seconds=10)
        order.append("first")
        remove_lock(layout)
    waiting.join(10)
    assert order == ["first", "second"]
    assert layout.lock.exists()


def test_nothing_stays_of_a_lock_that_was_removed(tmp_path: Path) -> None:
    layout = Layout(tmp_path, Path("/clone"))
    with locked(layout):
        remove_lock(layout)
    assert not layout.lock.exists()


def locks() -> list[str]:
    return Path("/proc/locks").read_text().splitlines()
