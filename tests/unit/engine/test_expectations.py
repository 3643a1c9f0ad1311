"""Flows of inside hosts that were announced are expected, once and for a time."""

from __future__ import annotations

import pytest

from p4alg.alg.contract import Endpoint, Grant, Peer, PinholeRequest, Refusal
from p4alg.engine import tables as t
from p4alg.engine.expectations import EXPECTED_ID
from p4alg.engine.settings import Limits
from p4alg.engine.tables import FlowKey, Op, Update
from p4alg.protocols import TCP
from tests.unit.engine.harness import INSIDE, INSIDE2, REMOTE, REMOTE2
from tests.unit.engine.parts import NOW, Parts, asked, owner, updates

PORT = 25601
KEY = FlowKey(TCP, INSIDE, 20, REMOTE, PORT)


def outward(port: int = PORT, **more: object) -> PinholeRequest:
    values: dict[str, object] = {
        "proto": TCP,
        "listener": Peer.SERVER,
        "listen": Endpoint(REMOTE, port),
        "opener_addr": INSIDE,
    }
    return asked(**{**values, **more})  # type: ignore[arg-type]


class Desk(Parts):
    """Expectations, and an owner of them."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits=limits or Limits())
        self.owner = owner()

    def add(self, port: int = PORT, now: float = NOW, **more: object) -> int:
        found = self.expectations.add(self.owner, outward(port, **more), now)
        assert isinstance(found, Grant), found
        assert found.visible == Endpoint(REMOTE, port)
        return found.number


def test_F1_an_expected_flow_is_taken_once() -> None:
    desk = Desk()
    number = desk.add()
    expected = desk.expectations.get(number)
    assert expected is not None
    assert str(expected) == "tcp from inside to 198.51.100.11:25601"
    assert desk.expectations.take(KEY, NOW) is expected
    assert desk.expectations.take(KEY, NOW) is None
    assert desk.expectations.get(number) is None


def test_F1_the_switch_punts_an_expected_flow_until_it_has_come() -> None:
    desk = Desk()
    number = desk.add()
    (written,) = updates(desk.answer())
    entry = t.PinholeEntry(TCP, INSIDE, None, REMOTE, PORT, number, alg_id=EXPECTED_ID)
    assert written == Update(Op.INSERT, entry)
    # Asked for again it is the same flow, and there already.
    desk.add()
    assert desk.answer() == []
    assert desk.expectations.take(KEY, NOW) is not None
    assert updates(desk.answer()) == [Update(Op.DELETE, entry)]


def test_an_expected_flow_whose_entry_is_refused_is_expected_all_the_same() -> None:
    desk = Desk()
    number = desk.add()
    desk.answer("full")
    assert desk.count("alg.toy.expected.refused.tables") == 1
    assert desk.expectations.has(KEY, NOW)
    desk.expectations.withdraw(number)
    assert desk.answer() == []
    # Asked for again, it is written again.
    desk.add()
    assert [update.op for update in updates(desk.answer())] == [Op.INSERT]


@pytest.mark.parametrize(
    "key",
    [
        KEY._replace(proto=17),
        KEY._replace(inside_addr=INSIDE2),
        KEY._replace(remote_addr=REMOTE2),
        KEY._replace(remote_id=PORT + 1),
    ],
)
def test_another_flow_is_not_the_expected_one(key: FlowKey) -> None:
    desk = Desk()
    desk.add()
    assert desk.expectations.take(key, NOW) is None
    assert desk.expectations.take(KEY._replace(inside_id=4711), NOW) is not None


def test_an_expectation_ends_with_its_lifetime() -> None:
    desk = Desk()
    number = desk.add()
    assert desk.expectations.take(KEY, NOW + 60.0) is None
    number = desk.add()
    desk.expectations.expire(NOW + 59.0)
    assert desk.expectations.get(number) is not None
    desk.expectations.expire(NOW + 60.0)
    assert desk.expectations.get(number) is None


def test_asking_again_prolongs() -> None:
    desk = Desk(Limits(pinholes_per_control=2))
    desk.add()
    again = desk.add(now=NOW + 30.0)
    # It counts once.
    desk.expectations.withdraw(desk.add(2000))
    desk.add(2001)
    assert desk.expectations.add(desk.owner, outward(2002), NOW) == Refusal("control-limit")
    desk.expectations.expire(NOW + 60.0)
    found = desk.expectations.take(KEY, NOW + 60.0)
    assert found is not None
    assert found.number == again


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(pinholes_per_control=2), "control-limit"),
        (Limits(pinholes_per_subscriber=2), "subscriber-limit"),
        (Limits(pinholes=2), "pinhole-limit"),
    ],
)
def test_G4_expectations_are_bounded_like_pinholes(limits: Limits, reason: str) -> None:
    desk = Desk(limits)
    first = desk.add(2000)
    desk.add(2001)
    assert desk.expectations.add(desk.owner, outward(2002), NOW) == Refusal(reason)
    desk.expectations.withdraw(first)
    desk.expectations.withdraw(4711)
    desk.add(2002)


def test_G7_an_inside_host_is_sent_to_no_third_host_and_no_low_port() -> None:
    desk = Desk()
    third = outward(listen=Endpoint(REMOTE2, PORT))
    assert desk.expectations.add(desk.owner, third, NOW) == Refusal("bounce")
    assert desk.expectations.add(desk.owner, outward(80), NOW) == Refusal("low-port")


def test_G4_a_lifetime_is_cut() -> None:
    desk = Desk(Limits(pinhole_longest=100.0))
    expected = desk.expectations.get(desk.add(lifetime=1e9))
    assert expected is not None
    assert expected.expires == NOW + 100.0


def test_what_a_session_expected_goes_with_it() -> None:
    desk = Desk()
    desk.add(2000)
    other = owner()
    kept = desk.expectations.add(other, outward(2001), NOW)
    desk.expectations.withdraw_of(desk.owner)
    assert desk.expectations.take(KEY._replace(remote_id=2000), NOW) is None
    assert isinstance(kept, Grant)
    assert desk.expectations.get(kept.number) is not None
