"""HTTP to Prometheus through the real library: what answers there ends soon, takes little memory, and says why in few words."""

import itertools
import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from fairlead.autoscaler import door
from fairlead.autoscaler.prometheus import UnansweredError, connect

SERIES = [{"metric": {"namespace": "ns", "pod": "a"}, "value": [1, "2"]}]
BODY = json.dumps({"status": "success", "data": {"resultType": "vector", "result": SERIES}}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
EVERY = 0.05


@contextmanager
def answering(parts: Iterable[bytes], pause: float = 0.0) -> Iterator[tuple[str, list[int]]]:
    """Something that answers one question with those parts and hangs up; its address, and how many bytes went out."""
    sent = [0]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def serve() -> None:
            talk, _ = listening.accept()
            with talk:
                talk.recv(65536)
                try:
                    for each in parts:
                        talk.sendall(each)
                        sent[0] += len(each)
                        time.sleep(pause)
                except OSError:
                    pass  # the other side has hung up

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", sent
        finally:
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    "parts",
    [
        [HEAD % len(BODY), BODY],
        [HEAD % len(BODY), BODY[:9], BODY[9:]],
        [b"HTTP/1.1 200 OK\r\n\r\n", BODY],
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY), BODY],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BODY), BODY, b"\r\n0\r\n\r\n"],
    ],
    ids=["whole", "in parts", "without its length", "the last one", "chunks"],
)
def test_an_answer_is_read(parts: list[bytes]) -> None:
    with answering(parts, pause=0.01) as (url, _):
        assert connect(url)("up") == SERIES


@pytest.mark.parametrize(
    "parts",
    [
        itertools.chain([HEAD % 10**6], itertools.repeat(b" ", 200)),
        itertools.chain([b"HTTP/1.1 200 OK\r\nX: "], itertools.repeat(b"y", 200)),
        itertools.chain([b"HTTP/1.1 302 Found\r\nLocation: /else\r\n\r\n"], itertools.repeat(b" ", 200)),
    ],
    ids=["the body", "the headers", "a redirect"],
)
def test_a_byte_now_and_then_does_not_hold_for_ever(parts: Iterable[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "ANSWER_SECONDS", 10 * EVERY)
    with answering(parts, EVERY) as (url, _):
        began = time.monotonic()
        with pytest.raises(UnansweredError, match=r"^it did not answer within 0\.5 s$"):
            connect(url)("up")
        assert time.monotonic() - began < 100 * EVERY, "it would go on for 10 s"


@pytest.mark.parametrize("head", [HEAD % 10**9, b"HTTP/1.1 503 No\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: /else\r\n\r\n"])
def test_no_more_than_a_bound_is_read(head: bytes) -> None:
    with (
        answering(itertools.chain([head], itertools.repeat(b" " * 65536, 1000))) as (url, sent),
        pytest.raises(UnansweredError, match="longer than 262144 bytes"),
    ):
        connect(url)("up")
    assert sent[0] < 32 * 2**20, "of 64 MB: what the kernel holds besides"


def test_a_bomb_is_not_unpacked() -> None:
    """Whoever packs unasked is not understood."""
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    with answering([packed]) as (url, _), pytest.raises(ValueError, match=r"codec|Expecting"):
        connect(url)("up")


@pytest.mark.parametrize(
    ("answer", "words", "detail"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nsorry", "it answered with the HTTP status 503", "sorry"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://else\r\nContent-Length: 0\r\n\r\n",
            "it redirects elsewhere, which is not followed",
            "",
        ),
        (b"nonsense\r\n\r\n", "it cannot be reached", "nonsense"),
        (b"", "it cannot be reached", "closed"),
    ],
    ids=["an error", "a redirect", "no HTTP", "nothing"],
)
def test_why_there_is_no_answer_is_told_in_few_words(answer: bytes, words: str, detail: str) -> None:
    with answering([answer]) as (url, _), pytest.raises(UnansweredError) as told:
        connect(url)("up")
    assert str(told.value) == words
    assert detail in told.value.detail


def test_an_address_at_which_nobody_listens_is_for_the_log_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(UnansweredError) as told:
        connect(f"http://someone:secret@127.0.0.1:{port}")("up")
    assert str(told.value) == "it cannot be reached"
    assert "refused" in told.value.detail
    assert "secret" not in told.value.detail
