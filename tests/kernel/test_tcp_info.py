"""The parser of struct tcp_info, on bytes as kernels give them."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from tcpwatch.core.marks import Closing
from tcpwatch.kernel.reader import parse_proc_tcp
from tcpwatch.kernel.tcp_info import (
    SIZE,
    TELLING_SIZE,
    parse_accepted,
    parse_closing,
    parse_queue,
    read_closing,
    read_end,
    read_path,
)

FIELDS = {
    "state": (0, "B"),
    "unacked": (24, "I"),
    "sacked": (28, "I"),
    "last_data_sent": (44, "I"),
    "rtt": (68, "I"),
    "rttvar": (72, "I"),
    "total_retrans": (100, "I"),
    "bytes_acked": (120, "Q"),
    "bytes_received": (128, "Q"),
    "min_rtt": (148, "I"),
    "busy": (168, "Q"),
    "rwnd_limited": (176, "Q"),
    "sndbuf_limited": (184, "Q"),
    "bytes_sent": (200, "Q"),
    "bytes_retrans": (208, "Q"),
}


def info(length: int = SIZE, **values: int) -> bytes:
    """Make a tcp_info with these fields, cut to `length` as an older kernel's would be."""
    data = bytearray(SIZE)
    for name, value in values.items():
        offset, form = FIELDS[name]
        struct.pack_into("=" + form, data, offset, value)
    return bytes(data[:length])


def test_a_listener_has_depth_and_limit() -> None:
    """LISTEN keeps the queue in tcpi_unacked and its limit in tcpi_sacked."""
    assert parse_queue(info(state=10, unacked=3, sacked=128)) == (3, 128)


def test_a_connection_has_no_queue() -> None:
    """The same fields mean segments there; so do zeros of a kernel that only pretends."""
    assert parse_queue(info(state=1, unacked=3, sacked=128)) is None
    assert parse_queue(b"") is None


def test_the_wait_is_the_time_since_established() -> None:
    """tcpi_last_data_sent counts from the handshake as long as nothing was sent."""
    found = parse_accepted(info(state=1, last_data_sent=904, rtt=33, total_retrans=1))

    assert found == (1, 904, 33, 1)


def test_no_round_trip_measured_is_unknown() -> None:
    """An rtt of 0 is no measurement."""
    found = parse_accepted(info(state=7))

    assert found is not None
    assert found.rtt_us is None


def test_the_fin_is_not_a_byte() -> None:
    """The kernel counts the peer's FIN as received; we do not."""
    assert parse_closing(info(state=8, bytes_received=101)).bytes_received == 100
    assert parse_closing(info(state=1, bytes_received=101)).bytes_received == 101


def test_an_end_in_order_is_no_reset() -> None:
    """Both leave a socket in CLOSE; only in order was our FIN acknowledged, counted as a byte."""
    sent = {"state": 7, "bytes_sent": 1_100, "bytes_retrans": 100, "bytes_received": 11}
    in_order = parse_closing(info(bytes_acked=1_001, **sent))
    assert (in_order.state, in_order.bytes_acked, in_order.bytes_received) == (6, 1_000, 10)
    reset = parse_closing(info(bytes_acked=1_000, **sent))
    assert (reset.state, reset.bytes_acked, reset.bytes_received) == (7, 1_000, 11)


def test_fields_beyond_the_end_are_unknown() -> None:
    """A kernel of 4.9 returns 168 bytes: what came later is None, not 0."""
    found = parse_closing(info(168, state=1, rtt=5, bytes_acked=9, min_rtt=4), unacked=2)

    assert found == Closing(1, 5, 0, 4, 0, 0, None, 9, 2, None, None, None)


def test_an_empty_answer_is_all_unknown() -> None:
    """AF_UNIX, macOS and gVisor give nothing."""
    assert parse_closing(b"") == Closing()
    assert parse_accepted(b"") is None


def test_an_unset_minimum_is_unknown() -> None:
    """min_rtt starts as all ones."""
    assert parse_closing(info(state=1, rtt=5, min_rtt=0xFFFFFFFF)).min_rtt_us is None


@given(st.binary(max_size=400))
def test_any_bytes_are_parsed(data: bytes) -> None:
    """No length and no content raises."""
    parse_queue(data)
    parse_accepted(data)
    parse_closing(data)


PROC = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000011 00:00000000 00000000     0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000005 00:00000000 00000000     0
"""


@given(st.binary(min_size=TELLING_SIZE, max_size=SIZE))
def test_a_part_that_is_read_alone_is_the_whole_ones(data: bytes) -> None:
    """Whether the kernel's bytes come here or, read already, the fields: same state, same bytes."""
    whole = parse_closing(data)

    for told in (data, tuple(whole)):
        assert read_closing(told) == whole
        assert read_end(told) == (whole.state, whole.bytes_received)
        assert read_path(told) == (whole.rtt_us and whole.rtt_us * 1000, whole.retransmits)


def test_proc_tcp_tells_a_listeners_depth() -> None:
    """rx_queue of the LISTEN row, and of no other."""
    assert parse_proc_tcp(PROC.splitlines(), 8080) == 17
    assert parse_proc_tcp(PROC.splitlines(), 80) is None


def test_proc_tcp_is_read_as_far_as_there_are_listeners() -> None:
    """They come first: a host's connections, however many, are not read to find one."""
    head, listening, *connections = PROC.splitlines()
    half_open = listening.replace(" 0A ", " 03 ")
    rows = iter([head, half_open, listening, *connections, *connections])

    assert parse_proc_tcp(rows, 80) is None
    assert len(list(rows)) == 2 * len(connections) - 1
    assert parse_proc_tcp([head, half_open, listening], 8080) == 17
