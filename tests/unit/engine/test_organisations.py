"""Each event reaches the engine of its organisation, and nothing of one is another's."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.budget import TRANSACTIONS
from p4alg.engine.engine import Engine
from p4alg.engine.layout import all_entries
from p4alg.engine.organisations import Organisations
from p4alg.engine.reconcile import entry_key
from p4alg.engine.settings import AddressForward, Prefix, Rule
from p4alg.engine.tables import FlowKey, PolicyAction, Side
from p4alg.protocols import ESP
from tests.unit.engine.harness import (
    ACK,
    GATEWAY,
    HOST_MAC,
    INSIDE,
    INSIDE2,
    PEER_MAC,
    REMOTE,
    TCP,
    UDP,
    UPLINK,
    WHOLE,
    WHOLE_OUT,
    Bench,
    datagram,
    is_arp,
    is_at,
    parse_arp,
    segment,
    settings,
    who_has,
    with_alg,
)
from tests.unit.engine.tenants import (
    BLUE,
    BLUE_POOL,
    BLUE_PORT,
    BLUE_SERVER,
    FTP,
    PORTS,
    RED,
    RED_POOL,
    RED_PORT,
    RED_SERVER,
    Tenants,
    both,
    client,
    organisation,
    says,
    talking,
)


def test_what_is_written_at_the_start_is_what_the_configuration_wants() -> None:
    bench = Tenants()
    wanted = {entry_key(entry) for entry in all_entries(both())}
    assert set(bench.entries) == wanted
    assert {e.organisation for e in bench.of(t.Port)} == {0, RED, BLUE}
    assert {(e.server_id[0], e.organisation) for e in bench.of(t.Service)} == {
        (21, RED),
        (2121, BLUE),
    }
    # Each has the same network inside, and its own way to it.
    networks = {(e.addr, e.organisation) for e in bench.of(t.Route) if e.prefix_len == 24}
    assert {(0x0A000000, RED), (0x0A000000, BLUE)} <= networks
    # What comes from outside and is not translated has routes too.
    assert (0xC6336400, 0) in networks


def test_one_organisation_is_written_as_if_there_were_no_others() -> None:
    made = settings()
    alone, joined = Bench(), Bench(engine=Organisations([made], random.Random(1)))  # type: ignore[arg-type]
    assert joined.entries == alone.entries
    for bench in (alone, joined):
        bench.new(segment(INSIDE2, 40000, REMOTE, 80))
    assert joined.entries == alone.entries
    assert joined.show("sessions") == [
        {**row, "organisation": "default"} for row in alone.show("sessions")
    ]


def test_the_only_one_that_is_configured_is_written_with_its_number_too() -> None:
    bench = Tenants(organisations=[replace(organisation("red"), share=1.0)])
    bench.event(ev.PacketIn(1, ev.Reason.ARP, 0, False, who_has(HOST_MAC, INSIDE, GATEWAY)))
    bench.begin(RED_PORT, segment(INSIDE, 40000, REMOTE, 21), FTP)
    (key,) = bench.sessions()
    assert key.organisation == RED
    bench.event(ev.TcpEvent(key, 4, True, False))
    assert bench.rows("sessions", "organisation", "state") == {("red", "closing")}
    bench.event(ev.SessionIdle(key))
    assert bench.sessions() == {}
    assert bench.counter("nat.sessions.idle") == bench.counter("arp.answered") == 1


def test_the_same_address_and_port_of_two_are_two_flows_with_their_own_outside() -> None:
    bench = talking()
    keys = {key for key in bench.sessions() if key.inside_id == 40000}
    assert keys == {
        FlowKey(TCP, INSIDE, 40000, REMOTE, 21, RED),
        FlowKey(TCP, INSIDE, 40000, REMOTE, 2121, BLUE),
    }
    assert client(bench, RED).outside_addr in RED_POOL
    assert client(bench, BLUE).outside_addr in BLUE_POOL
    assert bench.rows("sessions", "organisation", "inside", "remote", "alg") == {
        ("red", "10.0.0.11:40000", "198.51.100.11:21", "ftp"),
        ("blue", "10.0.0.11:40000", "198.51.100.11:2121", "ftp"),
    }


def test_each_command_opens_a_pinhole_of_its_own_organisation() -> None:
    bench = talking()
    for whose in (RED, BLUE):
        (sent,) = says(bench, whose, b"PORT 10,0,0,11,200,10\r\n")
        # The outside address is written into the command.
        pool = RED_POOL if whose == RED else BLUE_POOL
        numbers = [int(n) for n in sent.split()[1].split(b",")]
        assert int.from_bytes(bytes(numbers[:4]), "big") in pool
    holes = bench.of(t.PinholeEntry)
    assert {(h.inside_addr, h.inside_id, h.organisation) for h in holes} == {
        (INSIDE, 51210, RED),
        (INSIDE, 51210, BLUE),
    }
    red = next(h for h in holes if h.organisation == RED)
    key = FlowKey(TCP, INSIDE, 51210, REMOTE, 20, RED)
    bench.event(ev.PinholeHit(key, red.pinhole_id))
    assert [h.organisation for h in bench.of(t.PinholeEntry)] == [BLUE]
    assert key in bench.sessions()
    bench.event(ev.TcpEvent(key, 4, False, False))
    bench.event(ev.SessionIdle(key))
    assert key not in bench.sessions()
    assert FlowKey(TCP, INSIDE, 40000, REMOTE, 2121, BLUE) in bench.sessions()


def test_an_idle_notice_of_a_pinhole_names_whose_it_is() -> None:
    bench = talking()
    for whose in (RED, BLUE):
        says(bench, whose, b"PORT 10,0,0,11,200,10\r\n")
    (blue,) = [h for h in bench.of(t.PinholeEntry) if h.organisation == BLUE]
    bench.now += 61
    bench.event(ev.PinholeIdle(blue.pinhole_id, BLUE))
    assert [h.organisation for h in bench.of(t.PinholeEntry)] == [RED]


def test_subscribers_have_different_numbers_and_come_back_by_themselves() -> None:
    bench = Tenants()
    bench.hosts()
    for port in (RED_PORT, BLUE_PORT):
        bench.event(
            ev.PacketIn(port, ev.Reason.SUBSCRIBER, 0, False, datagram(INSIDE, 5000, REMOTE, 53))
        )
    hosts = {e.organisation: e for e in bench.of(t.Subscriber) if e.port_mask}
    blocks = {e.organisation: e for e in bench.of(t.Block)}
    assert set(hosts) == set(blocks) == {RED, BLUE}
    assert hosts[RED].subscriber != hosts[BLUE].subscriber
    assert blocks[RED].subscriber == hosts[RED].subscriber
    bench.event(ev.SubscriberIdle(INSIDE, BLUE))
    bench.event(ev.BlockIdle(blocks[BLUE].outside_addr, blocks[BLUE].outside_id))
    assert [e.organisation for e in bench.of(t.Block)] == [RED]
    lines = [(log.organisation, log.text.split(":")[0]) for log in bench.logs]
    assert lines == [
        ("red", "block taken"),
        ("blue", "block taken"),
        ("blue", "block given back"),
    ]
    known = bench.organisations.known_hosts()
    assert known.owners[hosts[RED].subscriber].organisation == "red"


def test_an_ALG_is_switched_off_for_one_only() -> None:
    bench = talking()
    red, blue = bench.settings
    bench.reconfigure_all(with_alg(red, "ftp", False), blue)
    assert [e.organisation for e in bench.of(t.Service)] == [BLUE]
    on = {row["organisation"]: row["enabled"] for row in bench.show("algs")}
    assert on == {"red": False, "blue": True}
    # Red's connection goes on as plain NAT, and blue's is still read.
    algs = {key.organisation: session.alg_id for key, session in bench.sessions().items()}
    assert algs == {RED: 0, BLUE: FTP}
    bench.reconfigure_all(with_alg(red, "ftp", False), with_alg(blue, "ftp", services=("ftp",)))
    assert {(e.server_id[0], e.organisation) for e in bench.of(t.Service)} == {(21, BLUE)}


def test_a_packet_from_outside_is_of_the_organisation_whose_address_it_goes_to() -> None:
    bench = Tenants()
    for server, port, whose in ((RED_SERVER, 21, RED), (BLUE_SERVER, 2121, BLUE)):
        bench.new(segment(REMOTE, 999, server, port), 3, FTP)
        assert FlowKey(TCP, INSIDE, port, REMOTE, 999, whose) in bench.sessions()


def test_a_hairpinned_packet_is_of_the_organisation_that_it_goes_to() -> None:
    bench = talking()
    source = client(bench, RED).outside_addr
    frame = segment(source, 999, BLUE_SERVER, 2121)
    bench.new(frame, RED_PORT, FTP, hairpin=True)
    assert FlowKey(TCP, INSIDE, 2121, source, 999, BLUE) in bench.sessions()


def test_reports_of_an_organisation_that_is_gone_are_ignored() -> None:
    bench = talking()
    before = dict(bench.entries)
    key = FlowKey(TCP, INSIDE, 40000, REMOTE, 21, 77)
    gone: list[ev.Event] = [
        ev.SessionIdle(key),
        ev.TcpEvent(key, 1, True, False),
        ev.PinholeHit(key, 1),
        ev.PinholeIdle(1, 77),
        ev.SubscriberIdle(INSIDE, 77),
        ev.BlockIdle(REMOTE, 4096),
    ]
    for event in gone:
        assert bench.event(event) == []
    assert bench.entries == before


# Neighbours


def test_a_neighbour_outside_is_asked_once_and_has_a_route_in_each_that_sends_to_it() -> None:
    bench = talking()
    sent: list[int] = []
    for port, service in PORTS.values():
        frame = segment(INSIDE, 40000, REMOTE, service, ACK, 2, 501)
        outs = bench.punt(ev.Reason.NEIGHBOUR, frame, port)
        sent += [parse_arp(out.frame).target_addr for out in outs if is_arp(out.frame)]
    # One question, on both ports of the zone.
    assert sent == [REMOTE, REMOTE]
    outs = bench.punt(ev.Reason.ARP, is_at(PEER_MAC, REMOTE, 0x020000010002, UPLINK), 3)
    assert len(outs) == 2
    # Both engines have been told, though the ARP of outside zones is the first one's.
    assert bench.organisations._commons.neighbours.with_released() == []
    (hop,) = [e for e in bench.of(t.NextHop) if e.dst_mac == PEER_MAC]
    routes = {e for e in bench.of(t.Route) if e.addr == REMOTE}
    assert routes == {t.Route(REMOTE, 32, hop.next_hop, whose) for whose in (RED, BLUE)}


def test_a_known_neighbour_outside_gets_its_route_when_another_one_sends_to_it() -> None:
    bench = talking()
    frame = segment(INSIDE, 40000, REMOTE, 21, ACK, 2, 501)
    bench.punt(ev.Reason.NEIGHBOUR, frame, RED_PORT)
    bench.punt(ev.Reason.ARP, is_at(PEER_MAC, REMOTE, 0x020000010002, UPLINK), 3)
    assert {e.organisation for e in bench.of(t.Route) if e.addr == REMOTE} == {RED}
    frame = segment(INSIDE, 40000, REMOTE, 2121, ACK, 2, 501)
    (out,) = bench.punt(ev.Reason.NEIGHBOUR, frame, BLUE_PORT)
    assert out.ingress_port == BLUE_PORT
    assert {e.organisation for e in bench.of(t.Route) if e.addr == REMOTE} == {RED, BLUE}
    # It leaves, and so do all its routes.
    for _ in range(5):
        bench.tick(61.0)
    assert [e for e in bench.of(t.Route) if e.addr == REMOTE] == []


def test_neighbours_inside_with_the_same_address_are_two() -> None:
    bench = Tenants()
    for port, mac in ((RED_PORT, HOST_MAC), (BLUE_PORT, PEER_MAC)):
        question = who_has(mac, INSIDE, GATEWAY)
        (reply,) = bench.event(ev.PacketIn(port, ev.Reason.ARP, 0, False, question))
        assert reply.egress_port == port
    hops = {e.port: e for e in bench.of(t.NextHop)}
    assert {port: hop.dst_mac for port, hop in hops.items()} == {1: HOST_MAC, 5: PEER_MAC}
    assert {e for e in bench.of(t.Route) if e.addr == INSIDE} == {
        t.Route(INSIDE, 32, hops[1].next_hop, RED),
        t.Route(INSIDE, 32, hops[5].next_hop, BLUE),
    }


def test_who_is_not_reached_is_told_to_the_sender_of_each() -> None:
    bench = talking()
    for port, service in PORTS.values():
        frame = segment(INSIDE, 40000, REMOTE, service, ACK, 2, 501)
        bench.punt(ev.Reason.NEIGHBOUR, frame, port)
    errors: list[int | None] = []
    for _ in range(5):
        errors += [out.egress_port for out in bench.tick(1.0) if not is_arp(out.frame)]
    assert sorted(port or 0 for port in errors) == [RED_PORT, BLUE_PORT]


# Faults


def test_rule_10_a_fault_of_one_costs_the_other_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = talking()
    (red, blue) = bench.organisations._engines.values()

    def boom(*_: object) -> None:
        raise RuntimeError("boom")

    with monkeypatch.context() as broken:
        broken.setattr(red._carrier, "packet", boom)
        says(bench, RED, b"PORT 10,0,0,11,200,10\r\n")
        says(bench, BLUE, b"PORT 10,0,0,11,200,10\r\n")
    assert [h.organisation for h in bench.of(t.PinholeEntry)] == [BLUE]
    assert red.show("counters", bench.now)["faults.PacketIn"] == 1  # type: ignore[call-overload]
    assert "faults.PacketIn" not in blue.show("counters", bench.now)
    (fault,) = [log for log in bench.logs if log.text.startswith("fault")]
    assert fault.organisation == "red"


def test_what_the_switch_refuses_one_is_undone_by_its_engine() -> None:
    bench = Tenants()
    bench.hosts()

    def refuses(update: t.Update) -> bool:
        entry = update.entry
        return isinstance(entry, t.Session) and entry.flow.organisation == BLUE

    bench.refuses = refuses
    for port, service in PORTS.values():
        bench.begin(port, segment(INSIDE, 40000, REMOTE, service), FTP)
    assert {key.organisation for key in bench.sessions()} == {RED}
    assert {row["organisation"] for row in bench.show("sessions")} == {"red"}
    counted = {
        name: bench.organisations.show("counters", bench.now, name) for name in ("red", "blue")
    }
    assert "nat.sessions.failed" not in counted["red"]
    assert counted["blue"]["nat.sessions.failed"] == 1  # type: ignore[call-overload]


# Shares


def test_a_flood_of_one_organisation_is_dropped_and_the_other_is_heard() -> None:
    bench = talking()
    frame = datagram(INSIDE, 6000, REMOTE, 9)
    lost = ev.PacketIn(RED_PORT, ev.Reason.TTL, 0, False, frame)
    answered = sum(bool(bench.event(lost)) for _ in range(9000))
    # Half of all, and its own half of the rest; what was used before is missing.
    assert 5900 <= answered <= 6000
    assert bench.counter("packets.over-share") >= 3000
    blue = ev.PacketIn(BLUE_PORT, ev.Reason.TTL, 0, False, frame)
    assert all(bench.event(blue) for _ in range(1000))


def test_one_whose_writes_wait_is_not_heard_and_the_other_is() -> None:
    bench = Tenants()
    bench.hosts()
    engine = bench.organisations

    def begins(port: int, source: int) -> bool:
        frame = segment(INSIDE, source, REMOTE, 21 if port == RED_PORT else 2121)
        return bool(engine.handle(ev.PacketIn(port, ev.Reason.NEW_FLOW, FTP, False, frame), 1.0))

    # The switch does not answer.
    begun = sum(begins(RED_PORT, 30000 + n) for n in range(300))
    # Its own part, what is for all, and the block that comes with the first one.
    assert begun == TRANSACTIONS // 4 + TRANSACTIONS // 2 - 1
    assert begins(BLUE_PORT, 30000)
    question = who_has(HOST_MAC, INSIDE2, GATEWAY)
    assert engine.handle(ev.PacketIn(RED_PORT, ev.Reason.ARP, 0, False, question), 1.0)
    for number in list(engine._waiting)[:10]:
        engine.handle(ev.TransactionDone(number), 1.0)
    assert begins(RED_PORT, 31000)
    counted: Any = engine.show("counters", 1.0, "red")
    assert counted["packets.over-share"] == 300 - begun


def test_the_neighbours_that_one_may_ask_for_are_its_share() -> None:
    bench = Tenants()
    for n in range(300):
        frame = segment(INSIDE, 40000, 0xC6336400 + 20 + n % 200, 80)
        bench.punt(ev.Reason.NEIGHBOUR, frame, RED_PORT)
    dropped = bench.counter("arp.dropped")
    assert dropped > 0
    bench.punt(ev.Reason.NEIGHBOUR, segment(INSIDE, 40000, REMOTE, 80), BLUE_PORT)
    assert bench.counter("arp.dropped") == dropped


# Views


def test_a_view_of_one_organisation_has_its_rows_only() -> None:
    bench = talking()
    found: Any = bench.organisations.show("sessions", bench.now, "blue")
    assert [row["organisation"] for row in found] == ["blue"]
    both_counted = bench.counter("nat.sessions.opened")
    one: Any = bench.organisations.show("counters", bench.now, "blue")
    assert (both_counted, one["nat.sessions.opened"]) == (2, 1)
    assert bench.organisations.names == ["red", "blue"]
    with pytest.raises(KeyError):
        bench.organisations.show("sessions", bench.now, "nobody")


# Entries that follow from the settings


def policies(*rules: Rule, name: str = "blue", **changes: Any) -> list[t.Policy]:
    made = organisation(name, rules=rules, **changes)
    entries = all_entries([organisation("red"), made] if name == "blue" else [made])
    return [e for e in entries if isinstance(e, t.Policy) and e.priority >= 29000]


def test_a_rule_of_one_matches_what_comes_from_it_and_what_goes_to_its_addresses() -> None:
    found = policies(Rule(PolicyAction.DENY, proto=UDP, ports=(53, 53)))
    assert {(e.side, e.organisation, e.dst_addr) for e in found} == {
        ((0, 1), (BLUE, 0xFF), (0, 0)),
        ((1, 1), (0, 0), (BLUE_POOL.addr, BLUE_POOL.mask)),
    }


def test_a_rule_for_a_part_of_its_outside_addresses_stays_there() -> None:
    one, elsewhere = Prefix(BLUE_SERVER, 32), Prefix(RED_POOL.addr, 29)
    found = policies(Rule(PolicyAction.DENY, Side.OUTSIDE, destination=one))
    assert [e.dst_addr for e in found] == [(one.addr, one.mask)]
    # What is not its own it cannot deny.
    assert policies(Rule(PolicyAction.DENY, Side.OUTSIDE, destination=elsewhere)) == []


def test_a_rule_that_exempts_is_for_packets_from_inside_but_for_organisation_0() -> None:
    there = Prefix(0xAC100000, 12)
    rule = Rule(PolicyAction.EXEMPT, source=there)
    assert [e.side for e in policies(rule)] == [(0, 1)]
    zone = replace(organisation("red").zones[0], organisation=0)
    made = {"zones": (zone, organisation("red").zones[1]), "organisation": 0}
    found = policies(rule, name="red", **made)
    assert [(e.side, e.dst_addr) for e in found] == [
        ((0, 1), (0, 0)),
        ((1, 1), (0x0A000000, 0xFFFFFF00)),
    ]


def test_ESP_from_outside_is_asked_about_whosever_it_is() -> None:
    from p4alg.alg.registry import algs
    from p4alg.engine.settings import AlgSettings

    ike = AlgSettings(algs()["ike"], True, ())
    off = replace(ike, enabled=False)
    made = (organisation("red", algs=(off,)), organisation("blue", algs=(ike,)))
    services = [e for e in all_entries(made) if isinstance(e, t.Service)]
    assert {(e.proto, e.organisation) for e in services} == {(ESP, 0), (ESP, BLUE)}
    # Where the one with number 0 has it on as well, that is the same entry.
    zero = replace(organisation("red", algs=(ike,), organisation=0), name="default")
    services = [e for e in all_entries([zero, made[1]]) if isinstance(e, t.Service)]
    assert sorted((e.proto, e.organisation) for e in services) == [(ESP, 0), (ESP, BLUE)]


def test_no_entry_is_wanted_twice_and_whole_addresses_are_kept_apart() -> None:
    pairs = {
        "red": (AddressForward(WHOLE, WHOLE_OUT),),
        "blue": (AddressForward(WHOLE, WHOLE_OUT + 1),),
    }
    made = [organisation(name, address_forwards=pairs[name]) for name in pairs]
    entries = all_entries(made)
    assert len({entry_key(entry) for entry in entries}) == len(entries)
    out = {e.organisation: e.outside_addr for e in entries if isinstance(e, t.AddrMapOut)}
    assert out == {RED: WHOLE_OUT, BLUE: WHOLE_OUT + 1}


def test_a_host_may_have_any_address_of_its_own_zone_but_none_of_the_gateways() -> None:
    def accepts(zone: int, addr: int) -> bool:
        rows = [e for e in all_entries(both()) if isinstance(e, t.Source) and e.zone == zone]
        fitting = [e for e in rows if addr in Prefix(e.src_addr, e.prefix_len)]
        best = max(fitting, key=lambda e: e.prefix_len, default=None)
        return best is not None and best.action is t.SourceAction.ACCEPT

    for zone in (1, 2):
        assert accepts(zone, INSIDE)
        assert not accepts(zone, GATEWAY)
    assert not accepts(3, INSIDE)
    assert accepts(3, REMOTE)


def test_an_engine_alone_needs_nobody() -> None:
    engine = Engine(settings(), random.Random(1))
    assert engine.settings.is_only
    assert list(engine.start([], 0.0))
