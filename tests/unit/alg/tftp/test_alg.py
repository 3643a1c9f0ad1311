"""The TFTP ALG as a pure machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.contract import (
    Endpoint,
    Finish,
    Forward,
    Notice,
    Peer,
    Refuse,
    SessionFacts,
    Step,
    Watch,
    apply_edits,
)
from p4alg.alg.tftp.alg import TftpAlg
from tests.unit.alg.gateway import OUTSIDE, Nat, SessionGateway

CLIENT, SERVER = 0x0A00000B, 0xC6336401
TID = Endpoint(SERVER, 40001)
OTHER_TID = Endpoint(SERVER, 40002)
C, S = Peer.CLIENT, Peer.SERVER
RRQ = b"\0\1boot.img\0octet\0"
WRQ = b"\0\2boot.img\0octet\0"


class Bench:
    def __init__(
        self, inside: Peer = C, port: int = 5000, denied: frozenset[int] = frozenset()
    ) -> None:
        facts = SessionFacts(
            17, Endpoint(CLIENT, port), Endpoint(SERVER, 69), inside, Endpoint(OUTSIDE, 5000)
        )
        self.alg, self.gate = TftpAlg(facts), SessionGateway(facts, Nat(denied=denied))

    def say(self, peer: Peer, data: bytes) -> list[Step]:
        return list(self.alg.receive(peer, data, self.gate, 0.0))

    def data(self, peer: Peer, data: bytes, tid: Endpoint = TID) -> list[Step]:
        return list(self.alg.receive_data(tid, peer, data, self.gate, 0.0))


def block(number: int, size: int) -> bytes:
    return b"\0\3" + number.to_bytes(2, "big") + bytes(size)


def reasons(steps: list[Step]) -> list[str]:
    return [step.reason for step in steps if isinstance(step, Refuse)]


@pytest.mark.parametrize(("request_", "label"), [(RRQ, "tftp RRQ"), (WRQ, "tftp WRQ")])
def test_T1_the_server_may_answer_from_any_port_of_its_own_once(
    request_: bytes, label: str
) -> None:
    bench = Bench()
    (step,) = bench.say(C, request_)
    assert isinstance(step, Forward)
    assert apply_edits(request_, step.edits) == request_
    assert step.grants == (1,)
    (asked,) = bench.gate.nat.granted
    assert (asked.listen, asked.opener_addr, asked.opener_port) == (
        Endpoint(CLIENT, 5000),
        SERVER,
        None,
    )
    assert (asked.max_flows, asked.inspect, asked.label) == (1, True, label)


def test_T1_with_the_server_inside_its_answer_is_expected() -> None:
    bench = Bench(inside=S)
    bench.say(C, RRQ)
    assert bench.gate.nat.granted[0].listener is C


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "bad-opcode"),
        (b"\0", "bad-opcode"),
        (b"\0\0x\0octet\0", "bad-opcode"),
        (b"\0\7x\0octet\0", "bad-opcode"),
        (b"\1\1x\0octet\0", "bad-opcode"),
        (b"\0\1no end", "bad-syntax"),
        (b"\0\1name\0octet", "bad-syntax"),
        (b"\0\1\0octet\0", "bad-name"),
        (b"\0\1a\nb\0octet\0", "bad-name"),
        (b"\0\1name\0secret\0", "bad-mode"),
        (b"\0\1name\0octet\0blksize\0", "bad-syntax"),
        (b"\0\1name\0octet\0blksize\x001428", "bad-syntax"),
        (b"\0\1name\0octet\0blksize\x00512\0BLKSIZE\x00513\0", "bad-syntax"),
        (b"\0\1" + b"x" * 600 + b"\0octet\0", "too-long"),
        (block(1, 10), "no-request"),
    ],
)
def test_T2_what_is_no_request_opens_nothing(data: bytes, reason: str) -> None:
    bench = Bench()
    steps = bench.say(C, data)
    assert reasons(steps) == [reason]
    assert bench.gate.nat.granted == []


@pytest.mark.parametrize("mode", [b"octet", b"OCTET", b"NetAscii", b"mail"])
def test_T2_modes_are_known_in_any_case(mode: bytes) -> None:
    bench = Bench()
    assert reasons(bench.say(C, b"\0\1name\0" + mode + b"\0")) == []


def test_T2_options_unknown_to_us_are_the_server_s_business() -> None:
    bench = Bench()
    steps = bench.say(C, b"\0\1name\0octet\0tsize\x000\0x-new\0yes\0")
    assert isinstance(steps[0], Forward)
    assert steps[0].summary == "RRQ name octet tsize=0 x-new=yes"


def test_T2_without_OACK_blocks_have_512_bytes_whatever_was_asked() -> None:
    bench = Bench()
    bench.say(C, b"\0\1name\0octet\0blksize\x001428\0")
    assert bench.data(S, block(1, 512))[-1] == Watch(S, 516)
    assert Finish(5.0) in bench.data(S, block(2, 511))


def test_T2_an_OACK_sets_the_size_of_a_block() -> None:
    bench = Bench()
    bench.say(C, b"\0\1name\0octet\0blksize\x001428\0")
    assert bench.data(S, b"\0\6blksize\x001024\0")[-1] == Watch(S, 1028)
    assert not any(isinstance(step, Finish) for step in bench.data(S, block(1, 1024)))
    steps = bench.data(S, block(2, 1023))
    assert [type(step) for step in steps] == [Forward, Notice, Finish]


def test_T2_an_OACK_of_more_than_was_asked_is_refused() -> None:
    bench = Bench()
    bench.say(C, b"\0\1name\0octet\0blksize\x001428\0")
    assert reasons(bench.data(S, b"\0\6blksize\x009000\0")) == ["bad-oack"]


def test_T2_a_write_ends_with_the_client_s_last_block() -> None:
    bench = Bench()
    bench.say(C, WRQ)
    assert bench.data(S, b"\0\4\0\0")[-1] == Watch(C, 516)
    assert Finish(5.0) in bench.data(C, block(1, 100))


def test_T2_an_ERROR_ends_the_transfer() -> None:
    bench = Bench()
    bench.say(C, RRQ)
    bench.data(S, block(1, 512))
    assert bench.data(S, b"\0\5\0\3disk full\0") == [
        Forward(14, summary="ERROR 3 disk full"),
        Finish(5.0),
    ]


def test_T2_an_early_ERROR_from_the_well_known_port_closes_the_pinhole() -> None:
    bench = Bench()
    bench.say(C, RRQ)
    bench.say(S, b"\0\5\0\1not found\0")
    assert bench.gate.nat.closed == [1]


def test_T2_blocks_of_the_wrong_side_are_refused() -> None:
    bench = Bench()
    bench.say(C, RRQ)
    bench.data(S, block(1, 512))
    assert reasons(bench.data(C, block(1, 100))) == ["wrong-side"]


def test_T3_the_same_client_port_one_transfer_after_the_other() -> None:
    bench = Bench()
    bench.say(C, RRQ)
    bench.data(S, block(1, 512))
    bench.say(C, b"\0\1name\0octet\0blksize\x001428\0")
    # The old one repeats its last block; the new one begins beside it.
    assert Finish(5.0) in bench.data(S, block(2, 0))
    assert bench.data(S, b"\0\6blksize\x001428\0", OTHER_TID)[-1] == Watch(S, 1432)
    assert Finish(5.0) in bench.data(S, block(1, 10), OTHER_TID)


def test_T1_a_second_server_port_is_not_part_of_the_transfer() -> None:
    bench = Bench()
    bench.say(C, RRQ)
    bench.data(S, block(1, 512))
    assert bench.data(S, block(1, 512), OTHER_TID)[-1] == Finish(5.0)


@pytest.mark.parametrize(("port", "reason"), [(500, "low-port"), (6000, "denied-port")])
def test_G7_no_pinhole_to_guarded_ports(port: int, reason: str) -> None:
    bench = Bench(port=port, denied=frozenset({6000}))
    assert reasons(bench.say(C, RRQ)) == [reason]
    assert bench.gate.nat.granted == []


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from([C, S]),
            st.one_of(
                st.binary(max_size=600),
                st.builds(lambda head, tail: head + tail, st.sampled_from(
                    [RRQ, WRQ, b"\0\3\0\1", b"\0\4\0\1", b"\0\5\0\1", b"\0\6blksize\0", b"\0\6"]),
                    st.binary(max_size=20)),
            ),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_G9_any_datagrams_are_passed_or_refused_whole(said: list[tuple[bool, Peer, bytes]]) -> None:
    bench = Bench()
    for is_data, peer, data in said:
        steps = bench.data(peer, data) if is_data else bench.say(peer, data)
        assert sum(step.length for step in steps) == len(data)
        assert all(isinstance(s, Forward | Refuse | Notice | Watch | Finish) for s in steps)
        assert all(not s.edits for s in steps if isinstance(s, Forward))
