"""G9 for IKE and ESP: `tests.unit.alg.invariant`, under broken headers and lengths.

For IKE a reservation is the claim of an initiator SPI.
"""

from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import Endpoint, Peer, Refuse, SessionFacts
from p4alg.alg.ike.alg import IkeAlg, IkeExchanges, IkeLimits
from p4alg.alg.ike.esp import Drop, EspTracker, read_spi
from tests.unit.alg.invariant import Gateway, check_feed

A, B, OUTSIDE, REMOTE = 0x0A00000B, 0x0A00000C, 0xCB007102, 0xC6336401
LIMITS = IkeLimits(per_flow=3, per_host=4, total=6)


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """An IKE message, perhaps behind a non-ESP marker, and perhaps broken somewhere."""
    body = draw(st.binary(max_size=6))
    fields = [
        draw(st.integers(0, 4)).to_bytes(8, "big"),
        draw(st.sampled_from([0, 0, 1, (1 << 64) - 1])).to_bytes(8, "big"),
        bytes([draw(st.integers(0, 255)), draw(st.sampled_from([0x10, 0x20, 0x2F, 0, 0x30]))]),
        bytes([draw(st.sampled_from([0, 2, 5, 32, 34, 35, 36, 37, 38, 255]))]),
        bytes([draw(st.integers(0, 255))]),
        draw(st.integers(0, 3)).to_bytes(4, "big"),
        draw(st.just(28 + len(body)) | st.integers(0, 0xFFFFFFFF)).to_bytes(4, "big"),
    ]
    data = draw(st.sampled_from([b"", bytes(4)])) + b"".join(fields) + body
    for at, piece in draw(
        st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=3)), max_size=2)
    ):
        data = data[:at] + piece + data[at + draw(st.integers(0, 3)) :]
    return data


def flows(shared: IkeExchanges) -> list[tuple[IkeAlg, Gateway]]:
    """Flows of two hosts to both ports, and one to an inside responder."""
    made = []
    for host, port, is_served in (
        (A, 500, 0),
        (B, 500, 0),
        (A, 4500, 0),
        (B, 4500, 0),
        (A, 500, 1),
    ):
        client, server = (REMOTE, host) if is_served else (host, REMOTE)
        inside = Peer.SERVER if is_served else Peer.CLIENT
        facts = SessionFacts(
            17, Endpoint(client, 500), Endpoint(server, port), inside, Endpoint(OUTSIDE, port)
        )
        made.append((IkeAlg(facts, shared, LIMITS), Gateway(facts)))
    return made


TURNS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(list(Peer)), datagrams(), st.floats(0, 1e5)),
    max_size=40,
)


@given(TURNS)
def test_G9_broken_datagrams_keep_the_invariant(
    turns: list[tuple[int, Peer, bytes, float]],
) -> None:
    shared = IkeExchanges(LIMITS)
    made = flows(shared)
    for index, peer, data, now in turns:
        alg, gateway = made[index]
        before = set(alg.initiator_spis)
        steps = alg.receive(peer, data, gateway, now)
        assert check_feed(gateway, set(), data, steps, is_datagram=True) in (b"", data)
        if any(isinstance(step, Refuse) for step in steps):
            assert set(alg.initiator_spis) <= before
        alg.tick(gateway, now)
    for alg, gateway in made:
        alg.ended(gateway)
    assert len(shared) == 0


@given(st.binary(max_size=12))
def test_G9_any_esp_packet_has_an_spi_or_a_reason(payload: bytes) -> None:
    spi = read_spi(payload)
    if isinstance(spi, Drop):
        assert spi.reason in ("truncated", "zero-spi", "reserved-spi")
        return
    tracker = EspTracker()
    assert tracker.outbound(A, OUTSIDE, REMOTE, spi, 0.0) == Drop("no-ike")
    assert tracker.inbound(REMOTE, OUTSIDE, spi, 0.0) == Drop("unknown-spi")
    assert len(tracker) == 0
