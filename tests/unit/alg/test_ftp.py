from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import (
    Detach,
    Endpoint,
    Forward,
    Grant,
    Peer,
    PinholeRequest,
    Refuse,
    SessionFacts,
    Step,
    apply_edits,
)
from p4alg.alg.ftp import FtpAlg

INSIDE, OUTSIDE, REMOTE = 0x0A00000B, 0xCB007102, 0xC6336401


class Gate:
    def __init__(self) -> None:
        self.asked: list[PinholeRequest] = []
        self.closed: list[int] = []
        self.inside = Peer.CLIENT

    def open_pinhole(self, request: PinholeRequest) -> Grant:
        self.asked.append(request)
        inside = request.listener is self.inside
        return Grant(7, Endpoint(OUTSIDE, 50000) if inside else request.listen)

    def close_pinhole(self, pinhole_id: int) -> None:
        self.closed.append(pinhole_id)


def session(inside: Peer = Peer.CLIENT) -> tuple[FtpAlg, Gate]:
    client, server = (INSIDE, REMOTE) if inside is Peer.CLIENT else (REMOTE, INSIDE)
    facts = SessionFacts(
        6, Endpoint(client, 4000), Endpoint(server, 21), inside, Endpoint(OUTSIDE, 4000)
    )
    gate = Gate()
    gate.inside = inside
    alg = FtpAlg(facts, frozenset({6000}))
    alg.feed(Peer.SERVER, b"220 hi\r\n", gate, 0.0)
    return alg, gate


def run(line: bytes, sender: Peer = Peer.CLIENT, inside: Peer = Peer.CLIENT) -> Step:
    alg, gate = session(inside)
    if sender is Peer.SERVER:
        command = b"EPSV\r\n" if line.startswith(b"229") else b"PASV\r\n"
        alg.feed(Peer.CLIENT, command, gate, 0.0)
    return alg.feed(sender, line, gate, 0.0)[0]


def rewritten(line: bytes, sender: Peer, inside: Peer) -> bytes:
    step = run(line, sender, inside)
    assert isinstance(step, Forward)
    return apply_edits(line, step.edits)


def test_F1_inside_listeners_are_announced_by_their_outside_endpoint() -> None:
    c, s = Peer.CLIENT, Peer.SERVER
    assert rewritten(b"PORT 10,0,0,11,9,9\r\n", c, c) == b"PORT 203,0,113,2,195,80\r\n"
    assert rewritten(b"EPRT |1|10.0.0.11|9999|\r\n", c, c) == b"EPRT |1|203.0.113.2|50000|\r\n"
    assert rewritten(b"227 ok (10,0,0,11,9,9).\r\n", s, s) == b"227 ok (203,0,113,2,195,80).\r\n"
    assert rewritten(b"229 ok (|||9999|)\r\n", s, s) == b"229 ok (|||50000|)\r\n"


def test_F1_outside_listeners_are_left_as_they_are() -> None:
    line = b"227 ok (198,51,100,1,9,9)\r\n"
    assert rewritten(line, Peer.SERVER, Peer.CLIENT) == line


def test_F4_refusals_have_their_reason() -> None:
    for line, reason in {
        b"PORT 10,0,0,12,9,9\r\n": "bounce",
        b"PORT 10,0,0,11,0,22\r\n": "low-port",
        b"PORT 10,0,0,11,23,112\r\n": "denied-port",
        b"PORT 10,0,0,11,999,9\r\n": "bad-syntax",
        b"227 x (10,0,0,11,9,9)\r\n": "wrong-side",
    }.items():
        step = run(line)
        assert isinstance(step, Refuse)
        assert step.reason == reason


def test_F4_227_without_PASV_is_refused() -> None:
    alg, gate = session()
    steps = alg.feed(Peer.SERVER, b"227 x (198,51,100,1,9,9)\r\n", gate, 0.0)
    assert steps == [Refuse(26, "no-request")]


def test_F5_234_after_AUTH_detaches() -> None:
    alg, gate = session()
    alg.feed(Peer.CLIENT, b"AUTH TLS\r\n", gate, 0.0)
    assert alg.feed(Peer.SERVER, b"234 ok\r\n", gate, 0.0)[-1] == Detach("tls")


def test_F6_227_inside_a_multiline_reply_is_text() -> None:
    alg, gate = session()
    alg.feed(Peer.CLIENT, b"PASV\r\n", gate, 0.0)
    alg.feed(Peer.SERVER, b"211-x\r\n227 x (198,51,100,1,9,9)\r\n211 end\r\n", gate, 0.0)
    assert gate.asked == []


def test_G7_http_first_detaches() -> None:
    assert run(b"POST / HTTP/1.1\r\n") == Detach("not-ftp", True)


@given(st.lists(st.tuples(st.sampled_from(list(Peer)), st.binary(max_size=80))))
def test_G9_nothing_raises_or_overruns(feeds: list[tuple[Peer, bytes]]) -> None:
    alg, gate = session()
    for sender, data in feeds:
        steps = alg.feed(sender, data, gate, 0.0)
        assert sum(s.length for s in steps if not isinstance(s, Detach)) <= len(data)


def test_F4_refused_passive_request_leaves_no_room_for_a_later_227() -> None:
    alg, gate = session()
    alg.feed(Peer.CLIENT, b"PASV\r\n", gate, 0.0)
    alg.feed(Peer.SERVER, b"502 no\r\n", gate, 0.0)
    steps = alg.feed(Peer.SERVER, b"227 (198,51,100,1,200,1)\r\n", gate, 0.0)
    assert steps == [Refuse(len(b"227 (198,51,100,1,200,1)\r\n"), "no-request")]


def test_F4_nothing_is_read_behind_an_overlong_line() -> None:
    alg, gate = session()
    steps = alg.feed(Peer.CLIENT, b"x" * 5000, gate, 0.0)
    assert [type(step) for step in steps] == [Refuse, Detach]
    assert alg.feed(Peer.CLIENT, b"PORT 10,0,0,11,200,1\r\n", gate, 0.0) == [] or not gate.asked


def test_F5_refused_AUTH_does_not_end_the_alg() -> None:
    alg, gate = session()
    alg.feed(Peer.CLIENT, b"AUTH TLS\r\n", gate, 0.0)
    alg.feed(Peer.SERVER, b"500 no\r\n", gate, 0.0)
    steps = alg.feed(Peer.SERVER, b"234 stray\r\n", gate, 0.0)
    assert not any(isinstance(step, Detach) for step in steps)


def test_F2_a_preliminary_reply_does_not_answer_the_command() -> None:
    alg, gate = session()
    alg.feed(Peer.CLIENT, b"RETR x\r\nPASV\r\n", gate, 0.0)
    alg.feed(Peer.SERVER, b"150 go\r\n226 done\r\n", gate, 0.0)
    step = alg.feed(Peer.SERVER, b"227 (198,51,100,1,200,1)\r\n", gate, 0.0)[0]
    assert isinstance(step, Forward)
    assert gate.asked
