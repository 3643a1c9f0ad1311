"""The record follower, on records that a real TLS library made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import Peer
from p4alg.alg.ftp.tls import Following, RecordFollower
from tests.unit.alg.ftp.tls_session import TlsSession


def feed(follower: RecordFollower, data: bytes, size: int) -> tuple[int, Following]:
    """Give `data` in pieces of `size`, what is left over again with the next."""
    used, end, found = 0, 0, Following.RECORDS
    while end < len(data) and found is Following.RECORDS:
        end = min(end + size, len(data))
        taken, found = follower.take(data[used:end])
        used += taken
    return used, found


@pytest.mark.parametrize("size", [1, 3, 5, 7, 100000])
def test_a_real_session_is_records_to_its_end(size: int) -> None:
    tls = TlsSession()
    followers = {peer: RecordFollower() for peer in Peer}
    for peer, data in [*tls.handshake(), *tls.say(Peer.CLIENT, b"x" * 40000), *tls.close()]:
        assert feed(followers[peer], data, size) == (len(data), Following.RECORDS)
    assert feed(followers[Peer.CLIENT], b"PORT 1", size) == (0, Following.CLEAR_TEXT)
    assert all(follower.records > 1 for follower in followers.values())


def test_clear_text_in_the_same_segment_is_found() -> None:
    tls = TlsSession()
    sent = b"".join(data for peer, data in tls.handshake() if peer is Peer.CLIENT)
    follower = RecordFollower()
    assert follower.take(sent + b"NOOP\r\n") == (len(sent), Following.CLEAR_TEXT)


@pytest.mark.parametrize(
    "data", [b"\x16\x02\x00\x00\x01", b"\x17\x03\x03\xff\xff", b"\x80\x2e\x01", b"\r\n"]
)
def test_what_is_neither_is_said_to_be_broken(data: bytes) -> None:
    assert RecordFollower().take(data) == (0, Following.BROKEN)


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_cut_anywhere_give_the_same(data: bytes, size: int) -> None:
    whole, cut = RecordFollower(), RecordFollower()
    used, found = whole.take(data)
    assert feed(cut, data, size)[0] == used
    assert 0 <= used <= len(data)
    assert found is not Following.RECORDS or len(data) - used < 5
