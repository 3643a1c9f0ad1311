"""What an operator clears ends as it does by itself, and nothing else ends."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.clearing import Cleared, Wanted
from p4alg.engine.flow_table import Flows
from p4alg.engine.flows import Flow
from p4alg.engine.organisations import Organisations
from tests.unit.engine.dialogue import PORT, greeted
from tests.unit.engine.harness import INSIDE, INSIDE2, REMOTE, UDP, Bench, datagram, segment
from tests.unit.engine.tenants import organisation
from tests.unit.engine.test_engine_sip import answered, bench, media_holes

Row = Mapping[str, object]


def everything(_row: Row) -> bool:
    return True


def of_host(host: str) -> Wanted:
    return lambda row: str(row["inside"]).startswith(host)


def clear(made: Bench, what: str, wanted: Wanted = everything) -> Cleared:
    """Clear, after a dry run has told the same and changed nothing."""
    before = dict(made.entries)
    told, actions = made.engine.clear(what, wanted, made.now, really=False)
    assert (actions, made.entries) == ([], before)
    found, actions = made.engine.clear(what, wanted, made.now)
    made.perform(actions)
    assert found == told
    return found


def two_hosts() -> Bench:
    made = Bench()
    for host in (INSIDE, INSIDE2):
        made.new(datagram(host, 500, REMOTE, 53))
        made.new(segment(host, 501, REMOTE, 80))
    return made


def sessions(made: Bench) -> list[Row]:
    """The view, in an order that does not depend on what was undone."""
    return sorted(made.show("sessions"), key=lambda row: row["inside"])


def test_the_sessions_of_one_host_end_with_their_bindings() -> None:
    made = two_hosts()
    assert clear(made, "sessions", of_host("10.0.0.11:")) == Cleared(2)
    assert {key.inside_addr for key in made.sessions()} == {INSIDE2}
    assert {row["inside"] for row in made.show("bindings") if row["kind"] == "dynamic"} == {
        "10.0.0.12:500",
        "10.0.0.12:501",
    }
    assert made.counter("nat.sessions.cleared") == 2
    clear(made, "sessions")
    assert made.dynamic() == set()


def test_a_cleared_control_session_takes_its_pinholes_along_and_its_packets_are_plain() -> None:
    dialogue = greeted()
    made = dialogue.bench
    dialogue.client(PORT)
    assert made.of(t.PinholeEntry)
    assert clear(made, "sessions", lambda row: row["alg"] == "ftp") == Cleared(1)
    made.tick(2.0)
    assert (made.show("pinholes"), made.show("sessions")) == ([], [])
    assert made.dynamic() == set()


def test_a_pinhole_alone_is_closed_and_its_control_session_goes_on() -> None:
    dialogue = greeted()
    made = dialogue.bench
    dialogue.client(PORT)
    assert clear(made, "pinholes") == Cleared(1)
    assert made.of(t.PinholeEntry) == []
    assert made.counter("alg.ftp.pinholes.closed") == 1
    assert [row["label"] for row in made.show("sessions")] == ["control"]
    # The same port can be announced again.
    dialogue.client(PORT)
    assert len(made.show("pinholes")) == 1


def test_a_binding_ends_with_all_that_uses_it_and_static_ones_stay() -> None:
    dialogue = greeted()
    made = dialogue.bench
    dialogue.client(PORT)
    static = sum(row["kind"] in ("static", "address") for row in made.show("bindings"))
    assert static == 2
    assert clear(made, "bindings") == Cleared(2, kept=static)
    made.tick(2.0)
    assert made.dynamic() == set()
    assert (made.show("sessions"), made.show("pinholes")) == ([], [])


def test_a_call_ends_with_its_media_and_the_reserved_ports() -> None:
    made = bench()
    answered(made)
    assert media_holes(made)
    assert clear(made, "calls", lambda row: row["inside"] == "10.0.0.12") == Cleared(0)
    assert clear(made, "calls", lambda row: row["inside"] == "10.0.0.11") == Cleared(1)
    assert made.show("calls") == []
    assert media_holes(made) == set()
    kinds = {row["kind"] for row in made.show("bindings")}
    assert "pinhole" not in kinds
    # The signalling session is no part of the call.
    assert [row["label"] for row in made.show("sessions")] == ["control"]


def test_a_binding_of_reserved_ports_ends_too() -> None:
    made = bench()
    answered(made)
    assert clear(made, "bindings", of_host("10.0.0.11:40000")).count == 1
    assert {hole[0] for hole in media_holes(made)} <= {40001}


@pytest.mark.parametrize("what", ["algs", "subscribers", "nosuch"])
def test_what_cannot_be_cleared_is_refused(what: str) -> None:
    with pytest.raises(KeyError):
        Bench().engine.clear(what, everything, 0.0)


def test_a_fault_in_the_middle_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    made = two_hosts()
    before, rows = dict(made.entries), sessions(made)
    remove, calls = Flows.remove, list[object]()

    def failing(self: Flows, flow: Flow, now: float, why: str) -> None:
        calls.append(flow)
        if len(calls) == 3:
            raise ZeroDivisionError
        remove(self, flow, now, why)

    monkeypatch.setattr(Flows, "remove", failing)
    with pytest.raises(ZeroDivisionError):
        made.engine.clear("sessions", everything, made.now)
    assert (made.entries, sessions(made)) == (before, rows)


def test_a_flow_that_is_cleared_while_it_is_written_leaves_nothing_if_it_is_refused() -> None:
    made = Bench()
    made.introduce(INSIDE)
    frame = datagram(INSIDE, 500, REMOTE, 53)
    made.new(datagram(INSIDE, 500, REMOTE, 54))
    kept = dict(made.entries)
    begun = made.engine.handle(ev.PacketIn(1, ev.Reason.NEW_FLOW, 0, False, frame), made.now)
    _, actions = made.engine.clear("sessions", lambda r: r["remote"] == "198.51.100.11:53", 100.0)
    (number,) = [a.transaction_id for a in begun if hasattr(a, "transaction_id")]
    assert made.engine.handle(ev.TransactionFailed(number, "full"), made.now)[0]
    assert len(actions) == 1
    # The other session of the endpoint has kept their binding.
    assert made.entries == kept
    assert [row["remote"] for row in made.show("sessions")] == ["198.51.100.11:54"]
    assert made.outside_of(UDP, INSIDE, 500)


def test_counters_begin_again_by_name() -> None:
    made = two_hosts()
    names = made.engine.clear_counters(lambda name: name.startswith("nat."), really=False)
    assert made.counter("nat.sessions.opened") == 4
    assert made.engine.clear_counters(lambda name: name.startswith("nat.")) == names
    assert made.counter("nat.sessions.opened") == 0
    assert made.counter("arp.answered") == 2


def test_of_several_organisations_one_can_be_meant() -> None:
    engine = Organisations((organisation("red"), organisation("blue")), random.Random(1))
    made = Bench(engine=engine)  # type: ignore[arg-type]
    for port in (1, 5):
        made.punt(ev.Reason.NEW_FLOW, segment(INSIDE, 501, REMOTE, 80), port)
        made.introduce(INSIDE, port)
        made.punt(ev.Reason.NEW_FLOW, segment(INSIDE, 501, REMOTE, 80), port)
    assert {row["organisation"] for row in made.show("sessions")} == {"red", "blue"}
    found, actions = engine.clear("sessions", everything, made.now, "red")
    made.perform(actions)
    assert found == Cleared(1)
    assert {row["organisation"] for row in made.show("sessions")} == {"blue"}
    assert {key.organisation for key in made.sessions()} == {2}
    assert engine.clear_counters(lambda name: name == "nat.sessions.cleared", "blue") == set()
    assert engine.clear_counters(lambda _name: True) >= {"nat.sessions.cleared"}
