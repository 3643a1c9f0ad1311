"""G9 for TFTP: `tests.unit.alg.invariant`, under broken options, numbers and refusals."""

from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import Endpoint, Forward, Peer, SessionFacts
from p4alg.alg.tftp.alg import TftpAlg
from tests.unit.alg.invariant import HOSTILE_NUMBERS, Gateway, check_feed

CLIENT, OUTSIDE, SERVER = 0x0A00000B, 0xCB007102, 0xC6336401
C, S = Peer.CLIENT, Peer.SERVER

NUMBERS = st.sampled_from(HOSTILE_NUMBERS) | st.integers(0, 70000).map(lambda n: b"%d" % n)
NAMES = st.sampled_from([b"blksize", b"BLKSIZE", b"tsize", b"timeout", b"windowsize", b"", b"\xff"])
OPTIONS = st.lists(st.tuples(NAMES, NUMBERS), max_size=20).map(
    lambda pairs: b"".join(name + b"\0" + value + b"\0" for name, value in pairs)
)
HEADS = [b"\0\1boot\0octet\0", b"\0\2boot\0NetASCII\0", b"\0\6", b"\0\1\0octet\0", b"\0\1boot\0x\0"]
HEADS += [b"\0\1boot\0octet", b"\0\3\0\1", b"\0\4\0\1", b"\0\5\0\1no\0", b"\0\7\0\1", b"\0", b""]


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """A head of the protocol with options, blocks or noise behind it, perhaps cut short."""
    tail = draw(OPTIONS | st.binary(max_size=20) | st.integers(0, 1500).map(bytes))
    data = draw(st.sampled_from(HEADS)) + tail
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


TURNS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([C, S]), st.integers(0, 3), datagrams()), max_size=30
)


@given(st.sampled_from(list(Peer)), st.frozensets(st.integers(0, 6)), TURNS)
def test_G9_transfers_with_broken_datagrams_keep_the_invariant(
    inside: Peer, refused: frozenset[int], turns: list[tuple[bool, Peer, int, bytes]]
) -> None:
    ends = (CLIENT, SERVER) if inside is C else (SERVER, CLIENT)
    facts = SessionFacts(
        17, Endpoint(ends[0], 5000), Endpoint(ends[1], 69), inside, Endpoint(OUTSIDE, 5000)
    )
    alg, gateway = TftpAlg(facts), Gateway(facts, refused)
    for is_data, peer, tid, data in turns:
        before = set(gateway.reserved)
        if is_data:
            steps = alg.receive_data(Endpoint(SERVER, 40000 + tid), peer, data, gateway, 0.0)
        else:
            steps = alg.receive(peer, data, gateway, 0.0)
        check_feed(gateway, before, data, steps, is_datagram=True)
        # No address is in a message, so none is ever edited.
        assert not any(step.edits for step in steps if isinstance(step, Forward))
        assert len(gateway.reserved) <= 1
