"""The records of pinholes, and how they are shown to operators."""

from __future__ import annotations

import pytest

from p4alg.alg.contract import Endpoint
from p4alg.engine import tables as t
from p4alg.engine.flows import flow_id
from p4alg.engine.pinhole import Pinhole, Reservation, shown
from p4alg.nat.bindings import Binding, Kind
from p4alg.protocols import ESP, GRE, TCP
from tests.unit.engine.harness import INSIDE, POOL, REMOTE
from tests.unit.engine.parts import SEEN, owner


def pinhole(
    proto: int, inside: int, remote: int | None, addr: int | None = REMOTE, has_owner: bool = True
) -> Pinhole:
    entry = t.PinholeEntry(proto, INSIDE, inside, addr, remote, 7)
    outside = inside if proto in (GRE, ESP) else 40001
    binding = Binding(proto, INSIDE, inside, POOL + 1, outside, Kind.PINHOLE, 0.0)
    asker = owner() if has_owner else None
    return Pinhole(7, entry, binding, asker, "toy DATA", 0.0, 60.0, 1)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (pinhole(TCP, 50000, None), "tcp 198.51.100.11:* -> 203.0.113.1:40001 -> 10.0.0.11:50000"),
        (pinhole(TCP, 50000, 20), "tcp 198.51.100.11:20 -> 203.0.113.1:40001 -> 10.0.0.11:50000"),
        (pinhole(TCP, 50000, None, None), "tcp anyone:* -> 203.0.113.1:40001 -> 10.0.0.11:50000"),
        # Of a tunnel only the receiver has a number.
        (
            pinhole(GRE, flow_id(GRE, 7), 0),
            "gre 198.51.100.11 -> 203.0.113.1:7 -> 10.0.0.11:7",
        ),
        (pinhole(GRE, 0, flow_id(GRE, 9)), "gre 10.0.0.11 -> 198.51.100.11:9"),
        (pinhole(ESP, 0, 0x1234), "esp 10.0.0.11 -> 198.51.100.11:4660"),
    ],
)
def test_a_pinhole_is_one_line_from_who_opens_to_who_listens(made: Pinhole, text: str) -> None:
    assert str(made) == text


def test_the_opener_is_told_the_outside_endpoint() -> None:
    made = pinhole(TCP, 50000, None)
    assert made.visible == shown(made.binding) == Endpoint(POOL + 1, 40001)
    call = pinhole(GRE, flow_id(GRE, 7), 0)
    assert call.visible == Endpoint(POOL + 1, 7)


def test_one_that_was_found_in_the_switch_is_no_ALGs() -> None:
    assert pinhole(TCP, 50000, None).alg == "toy"
    assert pinhole(TCP, 50000, None, has_owner=False).alg == "adopted"


def test_a_reservation_shows_the_first_of_its_endpoints() -> None:
    pair = tuple(
        Binding(TCP, INSIDE, 50000 + n, POOL + 1, 40000 + n, Kind.PINHOLE, 0.0) for n in range(2)
    )
    assert Reservation(1, pair, owner()).visible == Endpoint(POOL + 1, 40000)


def test_sessions_with_equal_facts_are_two_owners() -> None:
    one, other = owner(), owner()
    assert one.facts == other.facts
    assert one != other
    assert len({one, other}) == 2
    assert (one.inside_addr, one.outside_addr) == (INSIDE, SEEN.addr)
    assert str(one) == "10.0.0.11:6000 -> 198.51.100.11:7777"
