import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import (
    Detach,
    Endpoint,
    Forward,
    Notice,
    Peer,
    Refuse,
    SessionFacts,
    Step,
    apply_edits,
)
from p4alg.alg.ftp.alg import FtpAlg, FtpLimits
from tests.unit.alg.ftp.tls_session import TlsSession
from tests.unit.alg.gateway import DENIED, OUTSIDE, Nat, SessionGateway

INSIDE, REMOTE = 0x0A00000B, 0xC6336401


def session(inside: Peer = Peer.CLIENT) -> tuple[FtpAlg, SessionGateway]:
    client, server = (INSIDE, REMOTE) if inside is Peer.CLIENT else (REMOTE, INSIDE)
    facts = SessionFacts(
        6, Endpoint(client, 4000), Endpoint(server, 21), inside, Endpoint(OUTSIDE, 4000)
    )
    gate = SessionGateway(facts, Nat(denied=DENIED, next_port=50000))
    alg = FtpAlg(facts)
    alg.feed(Peer.SERVER, b"220 hi\r\n", gate, 0.0)
    return alg, gate


class Wire:
    """A control connection: holds back what the ALG has not consumed, as its carrier does."""

    def __init__(self, inside: Peer = Peer.CLIENT, limits: FtpLimits | None = None) -> None:
        alg, self.gate = session(inside)
        if limits is not None:
            alg = FtpAlg(alg._facts, limits=limits)
            alg.feed(Peer.SERVER, b"220 hi\r\n", self.gate, 0.0)
        self._alg = alg
        self._held = {peer: b"" for peer in Peer}
        self.steps: list[Step] = []

    def say(self, peer: Peer, data: bytes, size: int = 1) -> bytes:
        """`peer` says `data`, in segments of `size`; what comes out at the other end."""
        out = b""
        for at in range(0, len(data), size):
            held = self._held[peer] + data[at : at + size]
            for step in self._alg.feed(peer, held, self.gate, 0.0):
                self.steps.append(step)
                edits = step.edits if isinstance(step, Forward) else ()
                out += apply_edits(held[: step.length], edits)
                held = held[step.length :]
            self._held[peer] = held
        return out

    def refusals(self) -> list[str]:
        """The reasons of what was refused."""
        return [step.reason for step in self.steps if isinstance(step, Refuse)]

    def events(self) -> list[str]:
        """What the ALG told, and why it stepped aside if it did."""
        told = [step.event for step in self.steps if isinstance(step, Notice)]
        return told + [step.reason for step in self.steps if isinstance(step, Detach)]

    def start_tls(self) -> TlsSession:
        """AUTH, and the handshake."""
        self.say(Peer.CLIENT, b"AUTH TLS\r\n")
        self.say(Peer.SERVER, b"234 go ahead\r\n")
        tls = TlsSession()
        for peer, data in tls.handshake():
            assert self.say(peer, data, 11) == data
        return tls


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
    assert rewritten(b"PORT 10,0,0,11,9,9\r\n", c, c) == b"PORT 203,0,113,2,195,81\r\n"
    assert rewritten(b"EPRT |1|10.0.0.11|9999|\r\n", c, c) == b"EPRT |1|203.0.113.2|50001|\r\n"
    assert rewritten(b"227 ok (10,0,0,11,9,9).\r\n", s, s) == b"227 ok (203,0,113,2,195,81).\r\n"
    assert rewritten(b"229 ok (|||9999|)\r\n", s, s) == b"229 ok (|||50001|)\r\n"


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


def test_F6_227_inside_a_multiline_reply_is_text() -> None:
    alg, gate = session()
    alg.feed(Peer.CLIENT, b"PASV\r\n", gate, 0.0)
    alg.feed(Peer.SERVER, b"211-x\r\n227 x (198,51,100,1,9,9)\r\n211 end\r\n", gate, 0.0)
    assert gate.nat.granted == []


def test_G7_http_first_detaches() -> None:
    assert run(b"POST / HTTP/1.1\r\n") == Detach("not-ftp", True)


@given(st.lists(st.tuples(st.sampled_from(list(Peer)), st.binary(max_size=80))))
def test_G9_nothing_raises_or_overruns(feeds: list[tuple[Peer, bytes]]) -> None:
    alg, gate = session()
    for sender, data in feeds:
        steps = alg.feed(sender, data, gate, 0.0)
        assert sum(s.length for s in steps) <= len(data)


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
    alg.feed(Peer.CLIENT, b"PORT 10,0,0,11,200,1\r\n", gate, 0.0)
    assert gate.nat.granted == []


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
    assert gate.nat.granted


# F2


def test_F2_several_data_connections_in_a_session_each_have_their_pinhole() -> None:
    wire = Wire()
    for port in (b"200,1", b"200,2", b"200,3"):
        wire.say(Peer.CLIENT, b"PORT 10,0,0,11," + port + b"\r\nRETR f\r\n")
        wire.say(Peer.SERVER, b"200 ok\r\n150 go\r\n226 done\r\n")
    assert [request.listen.port for request in wire.gate.nat.granted] == [51201, 51202, 51203]


def test_F2_an_abort_behind_telnet_signals_is_a_command() -> None:
    wire = Wire()
    abort = b"\xff\xf4\xff\xf2ABOR\r\n"
    assert wire.say(Peer.CLIENT, abort) == abort
    wire.say(Peer.SERVER, b"426 cut\r\n226 done\r\n")
    assert wire.say(Peer.CLIENT, b"\xff\xf4PORT 10,0,0,11,200,1\r\n").endswith(
        b"PORT 203,0,113,2,195,81\r\n"
    )
    assert wire.refusals() == []


def test_F2_a_server_that_loses_a_command_after_an_abort_is_followed_again() -> None:
    """The urgent line feed is no part of proftpd's stream: it reads ABOR and PASV as one line."""
    wire = Wire()
    wire.say(Peer.CLIENT, b"RETR f\r\n")
    wire.say(Peer.SERVER, b"150 go\r\n")
    wire.say(Peer.CLIENT, b"ABOR\r\n")
    wire.say(Peer.SERVER, b"426 cut\r\n")
    wire.say(Peer.CLIENT, b"NOOP\r\nPASV\r\n")
    wire.say(Peer.SERVER, b"227 x (198,51,100,1,200,1)\r\n")
    assert wire.refusals() == []
    wire.say(Peer.SERVER, b"227 x (198,51,100,1,200,2)\r\n")
    assert wire.refusals() == ["no-request"]


@pytest.mark.parametrize("late", [b"226 done\r\n", b"225 no transfer\r\n", b"426 cut\r\n"])
def test_F2_a_reply_too_many_after_an_abort_does_not_answer_the_PASV(late: bytes) -> None:
    wire = Wire()
    wire.say(Peer.CLIENT, b"RETR f\r\nABOR\r\n")
    wire.say(Peer.SERVER, b"150 go\r\n426 cut\r\n226 aborted\r\n")
    wire.say(Peer.CLIENT, b"PASV\r\n")
    wire.say(Peer.SERVER, late + b"227 x (198,51,100,1,200,1)\r\n")
    assert wire.refusals() == []
    assert len(wire.gate.nat.granted) == 1


def test_F2_telnet_signals_go_on_at_once_and_wait_only_for_their_own_end() -> None:
    wire = Wire()
    assert wire.say(Peer.CLIENT, b"\xff\xf4\xff", 3) == b"\xff\xf4"
    assert wire.say(Peer.CLIENT, b"\xf2ABOR\r\n", 9) == b"\xff\xf2ABOR\r\n"
    refusal = b"\xff\xfc\x06"
    assert wire.say(Peer.SERVER, refusal + b"226 aborted\r\n") == refusal + b"226 aborted\r\n"
    wire.say(Peer.CLIENT, b"PASV\r\n")
    wire.say(Peer.SERVER, b"227 x (198,51,100,1,200,1)\r\n")
    assert wire.refusals() == []


# F3


def test_F3_the_pinhole_is_for_the_control_peer_once_for_60_s() -> None:
    wire = Wire()
    wire.say(Peer.CLIENT, b"PORT 10,0,0,11,200,1\r\n")
    (request,) = wire.gate.nat.granted
    assert (request.opener_addr, request.opener_port) == (REMOTE, None)
    assert (request.max_flows, request.lifetime) == (1, 60.0)


def test_F3_a_new_announcement_withdraws_the_unused_one() -> None:
    alg, gate = session()
    alg.feed(Peer.CLIENT, b"PORT 10,0,0,11,200,1\r\nPORT 10,0,0,11,200,2\r\n", gate, 0.0)
    assert gate.nat.closed == [1]


# F4


@pytest.mark.parametrize(
    "line",
    [
        b"PORT\r\n",
        b"PORT 10,0,0,11,200\r\n",
        b"PORT 10,0,0,11,200,1,2\r\n",
        b"PORT 10,0,0,11,200,-1\r\n",
        b"PORT 10.0.0.11,200,1\r\n",
        b"PORT 0x0a,0,0,11,200,1\r\n",
        b"EPRT |1|10.0.0.11|51201\r\n",
        b"EPRT |1|10.0.0.11|99999|\r\n",
        b"EPRT |1|10.0.0.300|51201|\r\n",
        b"EPRT |3|10.0.0.11|51201|\r\n",
        b"EPRT |1|10.0.0.11/51201|\r\n",
    ],
)
def test_F4_bad_syntax_opens_nothing(line: bytes) -> None:
    wire = Wire()
    wire.say(Peer.CLIENT, line)
    assert wire.refusals() == ["bad-syntax"]
    assert wire.gate.nat.granted == []


def test_F4_a_passive_reply_of_another_host_is_a_bounce() -> None:
    wire = Wire()
    wire.say(Peer.CLIENT, b"PASV\r\n")
    wire.say(Peer.SERVER, b"227 x (192,0,2,9,200,1)\r\n")
    assert wire.refusals() == ["bounce"]
    assert wire.gate.nat.granted == []


def test_F4_EPRT_for_another_host_is_a_bounce() -> None:
    wire = Wire()
    wire.say(Peer.CLIENT, b"EPRT |1|10.0.0.12|51201|\r\n")
    assert wire.refusals() == ["bounce"]


def test_F4_the_deny_list_guards_inside_hosts_only() -> None:
    wire = Wire()
    wire.say(Peer.CLIENT, b"PASV\r\n")
    wire.say(Peer.SERVER, b"227 x (198,51,100,1,23,112)\r\n")
    assert wire.refusals() == []
    assert wire.gate.nat.granted[0].listen.port == 6000


def test_F4_a_command_of_the_server_is_refused() -> None:
    wire = Wire(Peer.SERVER)
    wire.say(Peer.SERVER, b"PORT 10,0,0,11,200,1\r\n")
    assert wire.refusals() == ["wrong-side"]


# F5


@pytest.mark.parametrize("size", [1, 3, 10000])
def test_F5_under_TLS_nothing_is_read_and_after_CCC_it_is_again(size: int) -> None:
    wire = Wire()
    tls = wire.start_tls()
    assert wire.events() == ["tls"]
    talk = [*tls.say(Peer.CLIENT, b"CCC\r\n"), *tls.say(Peer.SERVER, b"200 ok\r\n")]
    for peer, data in [*talk, *tls.close()]:
        assert wire.say(peer, data, size) == data
    sent = wire.say(Peer.CLIENT, b"PORT 10,0,0,11,200,1\r\n", size)
    assert sent == b"PORT 203,0,113,2,195,81\r\n"
    assert wire.say(Peer.SERVER, b"200 ok\r\n", size) == b"200 ok\r\n"
    assert wire.events() == ["tls", "clear", "clear"]


def test_F5_after_CCC_a_227_still_needs_its_PASV() -> None:
    wire = Wire()
    tls = wire.start_tls()
    for peer, data in tls.close():
        wire.say(peer, data)
    wire.say(Peer.SERVER, b"227 x (198,51,100,1,200,1)\r\n")
    assert wire.refusals() == ["no-request"]


def test_F5_what_records_carry_is_never_taken_for_a_command() -> None:
    wire = Wire()
    wire.start_tls()
    line = b"\r\nPORT 10,0,0,11,200,1\r\n"
    record = b"\x17\x03\x03" + len(line).to_bytes(2, "big") + line
    assert wire.say(Peer.CLIENT, record) == record
    assert wire.gate.nat.granted == []


def test_F5_clear_text_in_place_of_a_handshake_is_never_read() -> None:
    wire = Wire()
    wire.say(Peer.CLIENT, b"AUTH TLS\r\n")
    wire.say(Peer.SERVER, b"234 go ahead\r\n")
    wire.say(Peer.CLIENT, b"PORT 10,0,0,11,200,1\r\n")
    assert wire.gate.nat.granted == []
    assert wire.events() == ["tls", "tls-broken"]


def test_F5_broken_records_end_the_alg() -> None:
    wire = Wire()
    wire.start_tls()
    wire.say(Peer.SERVER, b"\x17\x03\x03\xff\xff")
    assert wire.events() == ["tls", "tls-broken"]


# F6


def test_F6_a_banner_that_looks_like_a_227_is_text() -> None:
    facts = session()[0]._facts
    alg, gate = FtpAlg(facts), SessionGateway(facts)
    banner = b"220-welcome\r\n227 x (198,51,100,1,200,1)\r\n220 done\r\n"
    steps = alg.feed(Peer.SERVER, banner, gate, 0.0)
    assert [type(step) for step in steps] == [Forward] * 3
    assert gate.nat.granted == []


@pytest.mark.parametrize(
    "reply",
    [
        b"227-Entering (10,0,0,11,200,1)\r\n227 done\r\n",
        b"227-Entering\r\n some text (1,2,3,4,5,6)\r\n227 ok (10,0,0,11,200,1)\r\n",
    ],
)
def test_F6_a_227_of_several_lines_is_read_where_clients_read_it(reply: bytes) -> None:
    wire = Wire(Peer.SERVER)
    wire.say(Peer.CLIENT, b"PASV\r\n")
    sent = wire.say(Peer.SERVER, reply)
    assert sent == reply.replace(b"10,0,0,11,200,1", b"203,0,113,2,195,81")
    assert [request.listen.port for request in wire.gate.nat.granted] == [51201]


def test_F6_a_227_of_several_lines_needs_its_PASV_too() -> None:
    wire = Wire(Peer.SERVER)
    wire.say(Peer.SERVER, b"227-Entering (10,0,0,11,200,1)\r\n")
    assert wire.refusals() == ["no-request"]


# F8


def test_F8_EPRT_of_IPv6_passes_as_it_is_and_is_told() -> None:
    wire = Wire()
    line = b"EPRT |2|2001:db8::5|51201|\r\n"
    assert wire.say(Peer.CLIENT, line) == line
    assert (wire.gate.nat.granted, wire.refusals(), wire.events()) == ([], [], ["other-family"])
    wire.say(Peer.SERVER, b"522 use (1)\r\n")
    assert wire.say(Peer.CLIENT, b"PORT 10,0,0,11,200,1\r\n").startswith(b"PORT 203,")


# G4


def test_G4_the_longest_line_is_the_limit() -> None:
    wire = Wire(limits=FtpLimits(line=64))
    line = b"NOOP " + b"x" * 57 + b"\r\n"
    assert wire.say(Peer.CLIENT, line) == line
    wire.say(Peer.CLIENT, line[:-2] + b"x\r\n")
    assert wire.refusals() == ["line-too-long"]


def test_G4_commands_without_reply_are_limited() -> None:
    wire = Wire(limits=FtpLimits(pending=3))
    wire.say(Peer.CLIENT, b"NOOP\r\n" * 3)
    assert wire.events() == []
    wire.say(Peer.CLIENT, b"NOOP\r\n")
    assert wire.events() == ["too-many-pending"]


# G5

DIALOGUE = [
    (Peer.CLIENT, b"USER a\r\nPASS b\r\n"),
    (Peer.SERVER, b"331 pw\r\n230-hi\r\n227 x (1,2,3,4,5,6)\r\n230 in\r\n"),
    (Peer.CLIENT, b"PORT 10,0,0,11,200,1\r\nRETR a\r\nEPSV ALL\r\n"),
    (Peer.SERVER, b"200 ok\r\n150 go\r\n226 done\r\n200 ok\r\n"),
    (Peer.CLIENT, b"EPSV\r\nPASV\r\nEPRT |1|10.0.0.11|51202|\r\n"),
    (Peer.SERVER, b"229 x (|||4000|)\r\n227 y (198,51,100,1,20,1)\r\n200 ok\r\n"),
]


@given(st.lists(st.integers(1, 40), min_size=len(DIALOGUE), max_size=len(DIALOGUE)))
def test_G5_segments_cut_anywhere_give_the_same(sizes: list[int]) -> None:
    whole, cut = Wire(), Wire()
    for (peer, data), size in zip(DIALOGUE, sizes, strict=True):
        assert cut.say(peer, data, size) == whole.say(peer, data, len(data))
    assert cut.gate.nat.granted == whole.gate.nat.granted
    assert len(whole.gate.nat.granted) == 4
    assert cut.refusals() == whole.refusals() == []


# G7


def test_G7_nothing_is_read_before_the_server_has_greeted() -> None:
    alg, gate = FtpAlg(session()[0]._facts), SessionGateway(session()[0]._facts)
    steps = alg.feed(Peer.CLIENT, b"PORT 10,0,0,11,200,1\r\n", gate, 0.0)
    assert steps == [Detach("no-greeting", True)]
    assert gate.nat.granted == []


def test_G7_a_server_that_speaks_http_ends_the_alg() -> None:
    alg, gate = FtpAlg(session()[0]._facts), SessionGateway(session()[0]._facts)
    assert alg.feed(Peer.SERVER, b"HTTP/1.1 200 OK\r\n", gate, 0.0) == [Detach("not-ftp", True)]


def test_G7_padding_does_not_bring_a_command_to_the_beginning_of_a_segment() -> None:
    wire = Wire()
    wire.say(Peer.CLIENT, b"x" * 1460, 1460)
    wire.say(Peer.CLIENT, b"PORT 10,0,0,11,200,1\r\n", 1460)
    assert wire.gate.nat.granted == []


# G9


WORDS = [b"PORT ", b"EPRT ", b"227 ", b"227-", b"229 (|||", b"10,0,0,11,", b"|1|10.0.0.11|"]
WORDS += [b"999999999", b"234 ok", b"AUTH TLS", b"PASV", b"EPSV", b"\r\n", b"\n", b"\xff\xf4"]
WORDS += [b"\x16\x03\x03\x00\x01x", b"200,1", b"220 ", b"|", b")", b"\x00", b"CCC"]
SAID = st.lists(st.tuples(st.sampled_from(list(Peer)), st.sampled_from(WORDS)), max_size=30)


@given(st.sampled_from(list(Peer)), SAID)
def test_G9_words_of_the_protocol_in_any_order_never_raise(
    inside: Peer, parts: list[tuple[Peer, bytes]]
) -> None:
    wire = Wire(inside)
    for peer, data in parts:
        wire.say(peer, data, len(data))
    for request in wire.gate.nat.granted:
        assert 1024 <= request.listen.port <= 65535
        assert request.opener_addr in (REMOTE, INSIDE)
