"""G9 for PPTP: `tests.unit.alg.invariant`, under broken lengths and fields, and refusals."""

from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import Detach, Endpoint, Peer, SessionFacts
from p4alg.alg.pptp.alg import PptpAlg, PptpLimits
from p4alg.alg.pptp.messages import SIZES, Kind
from tests.unit.alg.invariant import Gateway, check_feed

INSIDE, OUTSIDE, REMOTE = 0x0A00000B, 0xCB007102, 0xC6336401
C, S = Peer.CLIENT, Peer.SERVER
IDS = st.sampled_from([0, 5, 6, 700, 61000, 61001, 61002, 65535])


def message(kind: int, first: int = 0, second: int = 0, result: int = 1) -> bytes:
    size = SIZES.get(Kind(kind), 0) if 1 <= kind <= len(Kind) else 40
    head = size.to_bytes(2, "big") + b"\0\1\x1a\x2b\x3c\x4d" + kind.to_bytes(2, "big") + b"\0\0"
    if kind == Kind.START_CONTROL_CONNECTION_REPLY:
        body = b"\1\0" + bytes([result])
    else:
        body = first.to_bytes(2, "big") + second.to_bytes(2, "big") + bytes([result])
    return (head + body).ljust(size, b"\0")[:size]


MESSAGES = st.builds(
    message,
    st.sampled_from([*range(7, 14), *range(7, 11), *range(17), 99]),
    IDS,
    IDS,
    st.sampled_from([1, 1, 1, 0, 2]),
)
# Where, how many bytes are replaced, and by what: the length field and the type as often as all.
BREAKS = st.tuples(
    st.sampled_from([0, 1, 2, 8, 9]) | st.integers(0, 219),
    st.integers(0, 3),
    st.binary(max_size=3),
)


@given(st.data())
def test_G9_calls_with_broken_messages_keep_the_invariant(data: st.DataObject) -> None:
    inside = data.draw(st.sampled_from(list(Peer)))
    ends = (INSIDE, REMOTE) if inside is C else (REMOTE, INSIDE)
    facts = SessionFacts(
        6, Endpoint(ends[0], 4000), Endpoint(ends[1], 1723), inside, Endpoint(OUTSIDE, 4000)
    )
    gateway = Gateway(facts, data.draw(st.frozensets(st.integers(0, 12))))
    alg = PptpAlg(facts, PptpLimits(calls=4, message=400))
    said = [(C, message(1)), (S, message(2))]
    said += data.draw(st.lists(st.tuples(st.sampled_from([C, S]), MESSAGES), max_size=30))
    for index in data.draw(st.lists(st.integers(0, len(said) - 1), max_size=1)):
        peer, whole = said[index]
        at, size, piece = data.draw(BREAKS)
        said[index] = (peer, whole[:at] + piece + whole[at + size :])
    held = {peer: b"" for peer in Peer}
    cut = data.draw(st.integers(1, 300))
    for peer, whole in said:
        for at in range(0, len(whole), cut):
            held[peer] += whole[at : at + cut]
            before = set(gateway.reserved)
            steps = alg.feed(peer, held[peer], gateway, 0.0)
            out = check_feed(gateway, before, held[peer], steps, is_datagram=False)
            used = sum(step.length for step in steps)
            is_gone = any(isinstance(step, Detach) for step in steps)
            assert len(out) <= (len(held[peer]) if is_gone else used)
            held[peer] = held[peer][used:]
            # A call has its reserved id and two pinholes.
            assert len(gateway.reserved) <= 3 * 4
            if is_gone:
                break
        else:
            continue
        break
    alg.ended(gateway)
    assert not gateway.reserved
