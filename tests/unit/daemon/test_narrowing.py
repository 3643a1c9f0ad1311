"""What is picked of the registers for a selection is enough for its rows, and not much more."""

from __future__ import annotations

import asyncio
import random

import pytest

from p4alg.daemon.narrowing import NOTHING, picks
from p4alg.daemon.plain import PlainViews
from p4alg.daemon.selection import EVERYTHING, Row, Selection, parse
from p4alg.driver.target import MAX_KEYS
from p4alg.engine.cells import PROTOCOLS, Session, Slot, ticks
from p4alg.engine.plain import Known, Owner
from p4alg.engine.settings import Timers
from p4alg.p4constants import TICK_SHIFT
from tests.unit.driver.memory import MemoryTarget
from tests.unit.engine.test_plain import Registers

TIMERS = Timers()
TICK = 50_000
OUTSIDE = 0xCB007105
INSIDE = 0x0A000000
HOSTS = 200
OWNERS = {n: Owner(INSIDE + n, OUTSIDE) for n in range(1, HOSTS + 1)}
KNOWN = Known(OWNERS, lambda *_: None, lambda prefix: OUTSIDE in prefix)
ENDS = TICK + ticks(TIMERS.udp)


def flows() -> dict[str, dict[int, int]]:
    """The cells of many plain flows, of which some are over."""
    rng, registers = random.Random(1), Registers()
    for _ in range(3000):
        kind, host, port = rng.choice(list(PROTOCOLS)), rng.randint(1, HOSTS), rng.randint(1, 40)
        remote = 0xC6336400 + rng.randrange(96)
        session = Session(kind, host, port, remote, rng.choice((53, 80, rng.randrange(65536))))
        registers.session(session, rng.choice((ENDS, TICK - 5)), way=rng.randrange(4))
        registers.slot(Slot(kind, host, 1024 + port * 8 + port % 2, port), ENDS)
    return {
        "session_cell": registers.sessions,
        "session_state": registers.session_states,
        "slot_cell": registers.slots,
        "slot_state": registers.slot_states,
    }


FLOWS = flows()


def shown(what: str, selection: Selection, tells: bool = True) -> tuple[list[Row], int]:
    """The rows of a view, and how many cells were read for it."""

    async def whole() -> tuple[list[Row], int]:
        target = MemoryTarget()
        target.clock = TICK << TICK_SHIFT if tells else None
        target.cells |= FLOWS
        views = PlainViews(target, TIMERS, lambda: KNOWN, lambda: 5000.0)
        told = await views.add(what, [], selection)
        assert told["plain_flows"]
        return sorted(told["rows"], key=str), sum(target.read.values())

    return asyncio.run(asyncio.wait_for(whole(), 20))


SELECTIONS = [
    ("sessions", {"inside": "10.0.0.7"}),
    ("sessions", {"inside": "10.0.0.7:5"}),
    ("sessions", {"inside": "10.0.0.0/29", "proto": "tcp"}),
    ("sessions", {"inside": "10.0.0.7", "remote": "198.51.100.0/28:53"}),
    ("sessions", {"remote": "198.51.100.9"}),
    ("sessions", {"remote": "198.51.100.0/30:80", "state": "opening"}),
    ("sessions", {"remote": "198.51.100.9:50-60"}),
    ("sessions", {"address": "10.0.0.7"}),
    ("sessions", {"address": "10.0.0.7:8"}),
    ("sessions", {"address": "198.51.100.9:80"}),
    ("sessions", {"proto": "icmp", "remote": "198.51.100.9"}),
    ("bindings", {"inside": "10.0.0.7"}),
    ("bindings", {"inside": "10.0.0.8/30:3"}),
    ("bindings", {"inside": "10.0.0.7", "proto": "udp", "kind": "plain"}),
]


@pytest.mark.parametrize(("what", "wanted"), SELECTIONS)
def test_the_rows_are_those_of_all_cells_and_few_cells_are_read(
    what: str, wanted: dict[str, str]
) -> None:
    selection = parse(what, wanted)
    rows, read = shown(what, selection)
    every, all_read = shown(what, EVERYTHING)
    assert rows == [row for row in every if selection.fits(row)]
    assert rows
    assert read < all_read / 2


@pytest.mark.parametrize(
    "wanted",
    [
        {"address": "203.0.113.5"},
        {"address": "203.0.113.0/24:1072"},
        {"outside": "203.0.113.5:1072"},
        {"port": "53"},
        {"state": "active"},
        {"address": "10.0.0.0/24"},
        {"inside": "10.0.0.0/24"},
    ],
)
def test_what_keys_cannot_say_is_looked_for_in_all_cells(wanted: dict[str, str]) -> None:
    selection = parse("sessions", wanted)
    rows, _ = shown("sessions", selection)
    assert rows == [row for row in shown("sessions", EVERYTHING)[0] if selection.fits(row)]
    assert rows


def test_a_switch_that_does_not_tell_its_time_is_read_whole() -> None:
    _, read = shown("sessions", parse("sessions", {"inside": "10.0.0.7"}), tells=False)
    assert read == shown("sessions", EVERYTHING)[1]


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        ("sessions", {"alg": "ftp"}),
        ("sessions", {"proto": "esp"}),
        ("sessions", {"inside": "192.0.2.1"}),
        ("bindings", {"kind": "static"}),
    ],
)
def test_where_no_plain_flow_fits_nothing_is_read(what: str, wanted: dict[str, str]) -> None:
    assert shown(what, parse(what, wanted)) == ([], 0)


def test_a_host_of_which_there_are_none_is_nothing() -> None:
    nobody = Known({}, KNOWN.static, KNOWN.has_outside)
    assert picks("sessions", parse("sessions", {"inside": "192.0.2.1"}), nobody, KNOWN) == NOTHING


@pytest.mark.parametrize("wanted", ["10.0.0.0/24", "10.0.0.0/26", "10.0.0.64/27", "10.0.0.9"])
@pytest.mark.parametrize("proto", [{}, {"proto": "tcp"}])
def test_there_are_never_more_keys_than_a_switch_takes(wanted: str, proto: dict[str, str]) -> None:
    found = picks("sessions", parse("sessions", {"address": wanted, **proto}), KNOWN, KNOWN)
    assert found is None or 0 < len(found.sessions) <= MAX_KEYS


def test_an_address_that_may_be_an_outside_one_is_looked_for_among_all() -> None:
    selection = parse("sessions", {"address": "198.51.100.9"})
    everyone = Known(OWNERS, KNOWN.static, lambda _: True)
    assert picks("sessions", selection, everyone, everyone) is None
    assert picks("sessions", selection, KNOWN, KNOWN) is not None
