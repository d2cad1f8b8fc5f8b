"""Bytes that the kernel holds for clients: from a table as Linux prints it, and from this machine's own."""

import socket
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fairlead_agent.unacknowledged import from_table, unacknowledged_bytes
from tests.waiting import until

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROWS = """\
   0: 00000000:1F40 00000000:0000 0A 00000003:00000007 00:00000000 00000000 65532        0 829600 1 000000 100 0 0 10 0
   1: 0300F40A:1F40 0100F40A:EC13 01 0004641B:00000000 01:00000008 00000000 65532        0 829602 3 000000 24 4 31 8 138
   2: 0300F40A:1F40 0100F40A:0705 04 0000A5A9:00000000 04:00000056 00000000     0        0 0 2 000000 24 4 31 12 136
   3: 0100007F:CD0E 0100007F:1F40 01 00001000:00000000 03:000011CE 00000000     0        0 0 3 000000
"""
"""A listener, a stream, the rest of a closed one, and the client's end of a connection within the pod."""


def test_a_stream_and_the_rest_of_a_closed_one_count() -> None:
    assert from_table(HEADING + ROWS, 8000) == 0x4641B + 0xA5A9


def test_another_port_has_nothing() -> None:
    assert from_table(HEADING + ROWS, 8004) == 0


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**32 - 1),
            st.integers(0, 2**16 - 1),
            st.sampled_from(["01", "04", "06", "0A"]),
            st.integers(0, 2**32 - 1),
            st.integers(0, 2**32 - 1),
        )
    )
)
def test_the_sum_over_sockets_of_the_port_that_do_not_listen(rows: list[tuple[int, int, str, int, int]]) -> None:
    lines = [
        f"{sl:4d}: {address:08X}:{port:04X} 0100F40A:EC13 {state} {tx:08X}:{rx:08X} 00:00000000 00000000 0 0 1 1 0 20 4 0 10 -1\n"
        for sl, (address, port, state, tx, rx) in enumerate(rows)
    ]
    assert from_table(HEADING + "".join(lines), 8000) == sum(
        tx for _, port, state, tx, _ in rows if port == 8000 and state != "0A"
    )


def test_a_kernel_without_tables_holds_nothing(tmp_path: Path) -> None:
    assert unacknowledged_bytes(8000, (tmp_path / "tcp",)) == 0


def test_what_a_client_does_not_read_is_counted_until_it_reads() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            with accepted:
                accepted.settimeout(0)
                sent = 0
                try:
                    while True:
                        sent += accepted.send(bytes(2**16))
                except BlockingIOError:
                    pass
                held = unacknowledged_bytes(port)
                assert 0 < held <= sent
            assert unacknowledged_bytes(port) > 0, "the socket is closed, its bytes are still there"
            while client.recv(2**20):
                pass
            until("all is read and acknowledged", lambda: unacknowledged_bytes(port) == 0, seconds=10)
