"""Rule 8: a start gives each organisation what is its own in the switch, and deletes the rest."""

from __future__ import annotations

from dataclasses import replace

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.settings import Prefix
from tests.unit.engine.harness import INSIDE2, POOL, REMOTE, Bench, datagram, segment
from tests.unit.engine.tenants import (
    BLUE,
    INSIDES,
    OUTSIDE,
    RED,
    Tenants,
    organisation,
    says,
    talking,
)


def test_rule_8_a_restart_takes_over_what_is_of_each() -> None:
    before = talking()
    for whose in (RED, BLUE):
        says(before, whose, b"PORT 10,0,0,11,200,10\r\n")
    after = Tenants(before.entries.values())
    assert set(after.entries) == set(before.entries)
    ends = ("organisation", "inside", "outside", "remote")
    assert after.rows("sessions", *ends) == before.rows("sessions", *ends)
    holes = ("organisation", "id", "inside", "outside")
    assert after.rows("pinholes", *holes) == before.rows("pinholes", *holes)
    assert {log.organisation for log in after.logs if log.text.startswith("adopted")} == {
        "red",
        "blue",
    }
    again = Tenants(after.entries.values())
    assert again.entries == after.entries


def test_rule_8_entries_of_an_organisation_that_is_gone_are_deleted() -> None:
    before = talking()
    gone = {e.subscriber for e in before.of(t.Subscriber) if e.organisation == BLUE}
    after = Tenants(before.entries.values(), [replace(organisation("red"), share=1.0)])
    assert {key.organisation for key in after.sessions()} == {RED}
    assert {e.organisation for e in after.of(t.MapOut)} == {RED}
    # Their numbers rest: cells with them may be alive.
    numbers = after.organisations._commons.numbers
    assert gone
    assert all(number in numbers._resting for number in gone)


def test_rule_8_several_become_one_and_nothing_of_others_is_taken_for_its_own() -> None:
    before = talking()
    after = Bench(before.entries.values())
    assert after.sessions() == {}
    assert {e.organisation for e in after.of(t.Route)} == {0}


def test_rule_8_what_was_the_only_one_goes_on_as_the_one_called_default() -> None:
    before = Bench()
    before.new(segment(INSIDE2, 40000, REMOTE, 80))
    before.punt(ev.Reason.SUBSCRIBER, datagram(INSIDE2, 5000, REMOTE, 53))
    zones = (replace(INSIDES["red"], organisation=0), OUTSIDE)
    first = organisation("red", organisation=0, pools=(Prefix(POOL, 28),), zones=zones)
    elsewhere = (Prefix(POOL + 16, 28),)
    made = [replace(first, name="default"), organisation("blue", pools=elsewhere, forwards=())]
    after = Tenants(before.entries.values(), made)
    ends = ("inside", "outside", "remote")
    assert after.rows("sessions", *ends) == {
        tuple(row[end] for end in ends) for row in before.show("sessions")
    }
    hosts = {e.inside_addr: e for e in after.of(t.Subscriber)}
    (kept,) = [e for e in before.of(t.Subscriber) if e.inside_addr == INSIDE2]
    assert hosts[INSIDE2] == kept
