"""G9 for FTP: `tests.unit.alg.invariant`, under broken numbers, lines, records and refusals."""

from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import Detach, Endpoint, Forward, Peer, SessionFacts
from p4alg.alg.ftp.alg import FtpAlg, FtpLimits
from tests.unit.alg.invariant import HOSTILE_NUMBERS, Gateway, check_feed

INSIDE, OUTSIDE, REMOTE = 0x0A00000B, 0xCB007102, 0xC6336401
C, S = Peer.CLIENT, Peer.SERVER

DIALOGUE = [
    (S, b"220 hello\r\n"), (C, b"USER a\r\n"), (S, b"331 password\r\n"), (C, b"PASS b\r\n"),
    (S, b"230 in\r\n"), (C, b"PORT 10,0,0,11,156,64\r\n"), (S, b"200 ok\r\n"),
    (C, b"EPRT |1|10.0.0.11|40001|\r\n"), (S, b"200 ok\r\n"), (C, b"PASV\r\n"),
    (S, b"227 Entering (198,51,100,1,200,1)\r\n"), (C, b"EPSV\r\n"),
    (S, b"229 Entering (|||50000|)\r\n"), (C, b"PASV\r\n"),
    (S, b"227-Entering (198,51,100,1,200,2)\r\n more\r\n227 done\r\n"), (C, b"AUTH TLS\r\n"),
    (S, b"234 go\r\n"), (C, b"\x16\x03\x01\x00\x05hello"), (S, b"\x16\x03\x03\x00\x05hello"),
    (C, b"\x17\x03\x03\x00\x03ccc"), (S, b"\x17\x03\x03\x00\x02ok"),
    (C, b"PORT 10,0,0,11,99,1\r\n"),
]  # fmt: skip
NUMBERS = st.sampled_from(HOSTILE_NUMBERS) | st.integers(0, 70000).map(lambda n: b"%d" % n)
PIECES = st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b"\xff\xf4", b",", b"|", b"(|||", b"227 "])


@st.composite
def announcements(draw: st.DrawFn) -> tuple[Peer, bytes]:
    """A line that announces an endpoint, with some number of its own broken."""
    six = [b"10", b"0", b"0", b"11", b"200", b"1"]
    six[draw(st.integers(0, 5))] = draw(NUMBERS)
    joined, dotted, port = b",".join(six), b".".join(six[:4]), draw(NUMBERS)
    return draw(
        st.sampled_from(
            [
                (C, b"PORT " + joined + b"\r\n"),
                (C, b"EPRT |1|" + dotted + b"|" + port + b"|\r\n"),
                (C, b"EPRT |" + port + b"|10.0.0.11|40000|\r\n"),
                (S, b"227 (" + joined + b")\r\n"),
                (S, b"227-" + joined + b"\r\n227 x\r\n"),
                (S, b"229 (|||" + port + b"|)\r\n"),
                (C, b"\x17\x03\x03" + draw(st.binary(min_size=2, max_size=2)) + b"x"),
            ]
        )
    )


@given(st.data())
def test_G9_dialogues_with_broken_messages_keep_the_invariant(data: st.DataObject) -> None:
    inside = data.draw(st.sampled_from(list(Peer)))
    ends = (INSIDE, REMOTE) if inside is C else (REMOTE, INSIDE)
    facts = SessionFacts(
        6, Endpoint(ends[0], 4000), Endpoint(ends[1], 21), inside, Endpoint(OUTSIDE, 4000)
    )
    gateway = Gateway(facts, data.draw(st.frozensets(st.integers(0, 6))))
    alg = FtpAlg(facts, FtpLimits(line=200, pending=8))
    held = {peer: b"" for peer in Peer}
    messages = list(DIALOGUE)
    for where in data.draw(st.lists(st.integers(0, len(DIALOGUE)), max_size=4)):
        messages.insert(where, data.draw(announcements()))
    for where in data.draw(st.lists(st.integers(0, len(DIALOGUE) - 1), max_size=3)):
        peer, line = messages[where]
        at = data.draw(st.integers(0, len(line)))
        broken = line[:at] + data.draw(PIECES | NUMBERS) + line[at + data.draw(st.integers(0, 4)) :]
        messages[where] = (peer, broken)
    size = data.draw(st.integers(1, 5000))
    for peer, line in messages:
        for at in range(0, len(line), size):
            held[peer] += line[at : at + size]
            before = set(gateway.reserved)
            steps = alg.feed(peer, held[peer], gateway, 0.0)
            check_feed(gateway, before, held[peer], steps, is_datagram=False)
            held[peer] = held[peer][sum(step.length for step in steps) :]
            if any(isinstance(step, Detach) for step in steps):
                assert not alg.feed(peer, b"PORT 10,0,0,11,200,1\r\n", gateway, 0.0)
                return
        # What is announced is withdrawn by the next one: at most one pinhole waits.
        assert len(gateway.reserved) <= 1


def test_G9_the_dialogue_itself_passes_whole() -> None:
    facts = SessionFacts(
        6, Endpoint(INSIDE, 4000), Endpoint(REMOTE, 21), C, Endpoint(OUTSIDE, 4000)
    )
    gateway, alg = Gateway(facts), FtpAlg(facts)
    for peer, line in DIALOGUE:
        steps = alg.feed(peer, line, gateway, 0.0)
        assert sum(step.length for step in steps if isinstance(step, Forward)) == len(line)
    assert gateway.nat.turns == 6
