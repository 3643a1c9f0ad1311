"""What is read from a Transport header."""

from __future__ import annotations

import pytest

from p4alg.alg.rtsp.limits import RtspLimits
from p4alg.alg.rtsp.message import Message, RtspError, parse_head
from p4alg.alg.rtsp.transport import Ports, Transport, read_addr, read_transports
from tests.unit.alg.rtsp.harness import message

LIMITS = RtspLimits()


def read(*values: bytes) -> list[Transport]:
    data = message(b"SETUP * RTSP/1.0", *(b"Transport: " + value for value in values))
    return read_transports(Message(data, parse_head(data, LIMITS)), LIMITS)


def test_R2_alternatives_come_in_their_order_from_all_headers() -> None:
    found = read(b"RTP/AVP ; unicast , rtp/avp/tcp;interleaved=0-1", b"RAW/RAW/UDP;multicast")
    assert [one.protocol for one in found] == [b"RTP/AVP", b"RTP/AVP/TCP", b"RAW/RAW/UDP"]
    assert [one.is_interleaved for one in found] == [False, True, False]
    assert [one.is_multicast for one in found] == [False, False, True]
    assert [one.is_rtp for one in found] == [True, True, False]


def test_R2_commas_and_semicolons_in_quotes_separate_nothing() -> None:
    (one,) = read(b'RTP/AVP;mode="PLAY,RECORD;x";Client_Port=5000-5001;')
    assert set(one.params) == {b"mode", b"client_port"}
    assert one.data[slice(*one.params[b"mode"])] == b'"PLAY,RECORD;x"'


def test_R7_the_endpoints_of_RTSP_2_are_recognised() -> None:
    (one,) = read(b'RTP/AVP;unicast;dest_addr=":5000"/":5001"')
    assert one.is_of_rtsp_2


@pytest.mark.parametrize(
    ("value", "ports"),
    [
        (b"RTP/AVP;client_port=5000-5001", Ports(5000, 5001)),
        (b"RTP/AVP;client_port=5000", Ports(5000, 5001)),
        (b"RTP/AVP;client_port=5001", Ports(5001)),
        (b"RTP/AVP;client_port=5000-5000", Ports(5000, 5000)),
        (b"RAW/RAW/UDP;client_port=5000", Ports(5000)),
        (b"RTP/AVP;client_port=65534-65535", Ports(65534, 65535)),
        (b"RTP/AVP;client_port=0", Ports(0, 1)),
        (b"RTP/AVP", None),
    ],
)
def test_R2_ports_of_a_stream(value: bytes, ports: Ports | None) -> None:
    assert read(value)[0].ports(b"client_port") == ports


@pytest.mark.parametrize(
    "value", [b"65536", b"5000-", b"-5001", b"5000-5001-5002", b"+5000", b"5 000", b"", b"9" * 5000]
)
def test_R6_what_is_no_port_is_refused(value: bytes) -> None:
    one = Transport(value, b"RTP/AVP", {b"client_port": (0, len(value))})
    with pytest.raises(RtspError, match="bad-syntax"):
        one.ports(b"client_port")


def test_R2_only_an_even_port_and_the_next_are_a_pair() -> None:
    assert Ports(5000, 5001).is_pair
    for ports in (Ports(5001, 5002), Ports(5000, 5002), Ports(5000), Ports(5000, 5000)):
        assert not ports.is_pair


def test_R6_an_address_is_four_numbers_without_doubt() -> None:
    assert read_addr(b"198.51.100.11") == 0xC633640B
    for text in (b"198.51.100.256", b"198.51.100", b"010.0.0.1", b"1.2.3.4.5", b"::1", b""):
        assert read_addr(text) is None
