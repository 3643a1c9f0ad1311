"""TFTP through the engine: the answer is asked for, then only how the transfer ends."""

from typing import Any

import pytest

from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.settings import PortForward
from p4alg.engine.tables import FlowKey, SessionFlags
from tests.unit.engine.harness import (
    IN_PORT,
    INSIDE,
    OUT_PORT,
    REMOTE,
    REMOTE2,
    SERVER,
    UDP,
    AlgSettings,
    Bench,
    PortSpan,
    datagram,
)

TFTP = 3
CLIENT_PORT, TID = 5000, 40001
RRQ = b"\0\1boot.img\0octet\0"
DATA = FlowKey(UDP, INSIDE, CLIENT_PORT, REMOTE, TID)
MAIN = FlowKey(UDP, INSIDE, CLIENT_PORT, REMOTE, 69)


def bench(**changes: Any) -> Bench:
    values: dict[str, Any] = {
        "services": {"tftp": (PortSpan(UDP, 69, 69),)},
        "algs": (AlgSettings(algs()["tftp"], True, ("tftp",)),),
        "forwards": (PortForward(UDP, INSIDE, 69, SERVER, 69),),
    }
    return Bench(**{**values, **changes})


def block(number: int, size: int) -> bytes:
    return b"\0\3" + number.to_bytes(2, "big") + bytes(size)


def ask(made: Bench, request: bytes = RRQ) -> list[PacketOut]:
    frame = datagram(INSIDE, CLIENT_PORT, REMOTE, 69, request)
    if MAIN in made.sessions():
        return made.punt(ev.Reason.ALG, frame, IN_PORT, TFTP)
    return made.new(frame, IN_PORT, TFTP)


def answer(made: Bench, payload: bytes, remote: int = REMOTE, tid: int = TID) -> list[PacketOut]:
    outside = made.outside_of(UDP, INSIDE, CLIENT_PORT)
    frame = datagram(remote, tid, *outside, payload)
    key = FlowKey(UDP, INSIDE, CLIENT_PORT, remote, tid)
    if key in made.sessions():
        return made.punt(ev.Reason.ALG, frame, OUT_PORT, TFTP)
    return made.new(frame, OUT_PORT, TFTP)


def test_T1_the_request_leaves_behind_its_pinhole() -> None:
    made = bench()
    (out,) = ask(made)
    assert out.frame.endswith(RRQ)
    (hole,) = made.of(t.PinholeEntry)
    assert (hole.inside_addr, hole.inside_id, hole.remote_addr, hole.remote_id) == (
        INSIDE,
        CLIENT_PORT,
        REMOTE,
        None,
    )
    assert hole.alg_id == TFTP
    assert made.sessions()[MAIN].alg_id == TFTP


def test_T1_the_first_answer_uses_the_pinhole_up_and_is_watched() -> None:
    made = bench()
    ask(made)
    assert len(answer(made, block(1, 512))) == 1
    assert not made.of(t.PinholeEntry)
    session = made.sessions()[DATA]
    assert (session.flags, session.watch_below) == (SessionFlags.WATCH_OUTSIDE, 8 + 4 + 512)
    assert session.alg_id == TFTP
    (row,) = [r for r in made.show("sessions") if r["label"] == "tftp RRQ"]
    assert row["alg"] == "tftp"


def test_T2_the_last_block_ends_it_soon() -> None:
    made = bench()
    ask(made)
    answer(made, block(1, 512))
    assert len(answer(made, block(2, 10))) == 1
    assert made.sessions()[DATA].idle_timeout == 5.0
    assert made.counter("alg.tftp.finished") == 1


def test_T1_another_server_port_is_a_stranger_once_the_transfer_runs() -> None:
    made = bench()
    ask(made)
    answer(made, block(1, 512))
    # The switch drops it: the mapping's filter knows no such flow.
    assert not made.of(t.PinholeEntry)
    other = FlowKey(UDP, INSIDE, CLIENT_PORT, REMOTE, 40002)
    assert other not in made.sessions()


def test_T3_a_second_request_from_the_same_port_has_a_pinhole_of_its_own() -> None:
    made = bench()
    ask(made)
    answer(made, block(1, 10))
    ask(made, b"\0\1other\0octet\0")
    assert len(made.of(t.PinholeEntry)) == 1
    assert len(answer(made, block(1, 512), tid=40002)) == 1


def test_T1_with_the_server_inside_the_answer_leaves_by_the_mapping_s_address() -> None:
    made = bench()
    frame = datagram(REMOTE2, 6000, SERVER, 69, RRQ)
    assert len(made.new(frame, OUT_PORT, TFTP)) == 1
    (waiting,) = made.of(t.PinholeEntry)
    frame = datagram(INSIDE, 50000, REMOTE2, 6000, block(1, 512))
    assert len(made.new(frame, IN_PORT, waiting.alg_id)) == 1
    session = made.sessions()[FlowKey(UDP, INSIDE, 50000, REMOTE2, 6000)]
    assert session.flags == SessionFlags.WATCH_INSIDE
    assert made.outside_of(UDP, INSIDE, 50000)[0] == SERVER


def test_G1_when_switched_off_the_transfer_goes_on_unread() -> None:
    made = bench()
    ask(made)
    answer(made, block(1, 512))
    made.switch("tftp", False)
    for key in (MAIN, DATA):
        session = made.sessions()[key]
        assert (session.alg_id, session.flags, session.watch_below) == (0, SessionFlags.NONE, 0)


def test_G2_a_refused_request_is_dropped_and_counted() -> None:
    made = bench()
    assert ask(made, b"\0\1name\0secret\0") == []
    assert made.counter("alg.tftp.client.refused.bad-mode") == 1
    assert not made.of(t.PinholeEntry)


@pytest.mark.parametrize("refused", [t.PinholeEntry, t.Session])
def test_rule_2_what_the_switch_does_not_take_does_not_leave(refused: type) -> None:
    made = bench()
    made.refuses = lambda update: isinstance(update.entry, refused)
    sent = ask(made)
    if refused is t.PinholeEntry:
        assert sent == []
        assert made.counter("alg.tftp.refused.tables") == 1
    else:
        assert MAIN not in made.sessions()


def test_everything_goes_when_all_is_idle() -> None:
    made = bench()
    ask(made)
    answer(made, block(1, 512))
    ask(made, b"\0\2other\0octet\0")
    made.idle_everything()
    assert made.of(t.PinholeEntry) == []
    assert not made.sessions()
