"""Settings change while everything goes on: only what differs is written, and nothing ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.settings import Limits, Prefix, RefuseMode, Rule, Timers
from p4alg.engine.tables import FlowKey, Op, PolicyAction
from tests.unit.engine.dialogue import PORT, greeted
from tests.unit.engine.harness import INSIDE, REMOTE, TCP, UDP, Bench, segment, with_alg
from tests.unit.engine.parts import updates
from tests.unit.engine.tenants import BLUE, RED, Tenants

DENY = Rule(PolicyAction.DENY, proto=TCP, ports=(25, 26), destination=Prefix(0xC0000200, 24))


def test_a_rule_is_one_set_of_updates_and_flows_do_not_notice() -> None:
    dialogue = greeted()
    bench = dialogue.bench
    sessions, before = dict(bench.sessions()), dict(bench.entries)
    settings = bench.engine.settings
    actions = bench.engine.reconfigure(replace(settings, rules=(DENY,)), bench.now)
    # The rules of the operator go by their place; those that follow are as they were.
    assert {(update.op, type(update.entry)) for update in updates(list(actions))} == {
        (Op.INSERT, t.Policy)
    }
    bench.perform(actions)
    assert bench.sessions() == sessions
    assert dialogue.client(PORT) != PORT
    bench.reconfigure(settings)
    assert {key: entry for key, entry in bench.entries.items() if key in before} | before == before
    assert bench.of(t.Policy) == [e for e in before.values() if isinstance(e, t.Policy)]


def test_rules_that_move_are_never_missing_in_between() -> None:
    first = Rule(PolicyAction.TRANSLATE, proto=UDP)
    bench = Bench(rules=(DENY,))
    wanted = replace(bench.engine.settings, rules=(first, DENY))
    actions = bench.engine.reconfigure(wanted, bench.now)
    ops = [update.op for update in updates(list(actions)) if isinstance(update.entry, t.Policy)]
    assert ops == sorted(ops, key=lambda op: op is not Op.INSERT)
    assert {Op.INSERT, Op.DELETE} == set(ops)


def test_the_same_settings_write_nothing() -> None:
    bench = Bench()
    assert bench.engine.reconfigure(bench.engine.settings, bench.now) == []


def test_a_limit_holds_for_what_is_new_and_ends_nothing() -> None:
    bench = Bench()
    for port in (21, 2121):
        bench.new(segment(INSIDE, 40000 + port, REMOTE, port), alg_id=1)
    held = dict(bench.sessions())
    assert len(held) == 2
    few = replace(Limits(), sessions=2, sessions_per_subscriber=2)
    bench.reconfigure(replace(bench.engine.settings, limits=few))
    assert bench.sessions() == held
    bench.new(segment(INSIDE, 41000, REMOTE, 21), alg_id=1)
    assert bench.sessions() == held
    assert bench.counter("nat.refused.session-limit") == 1
    bench.reconfigure(replace(bench.engine.settings, limits=Limits()))
    bench.new(segment(INSIDE, 41000, REMOTE, 21), alg_id=1)
    assert len(bench.sessions()) == 3


def test_G7_a_denied_port_is_denied_from_now_on() -> None:
    dialogue = greeted()
    denied = frozenset({PORT_NUMBER})
    dialogue.bench.reconfigure(replace(dialogue.bench.engine.settings, denied_ports=denied))
    dialogue.client(PORT)
    assert dialogue.bench.of(t.PinholeEntry) == []
    assert dialogue.bench.counter("alg.ftp.client.refused.denied-port") == 1


PORT_NUMBER = int(PORT.split(b",")[4]) * 256 + int(PORT.split(b",")[5])


def test_timers_hold_for_flows_that_begin_and_in_the_switch() -> None:
    bench = Bench()
    timers = replace(Timers(), udp=99.0, tcp_transitory=77.0)
    before = bench.of(t.Timer)
    bench.reconfigure(replace(bench.engine.settings, timers=timers))
    changed = [entry for entry in bench.of(t.Timer) if entry not in before]
    assert changed
    assert len(bench.of(t.Timer)) == len(before)
    bench.new(segment(INSIDE, 40000, REMOTE, 21), alg_id=1)
    assert bench.sessions()[FlowKey(TCP, INSIDE, 40000, REMOTE, 21)].idle_timeout == 77.0


def test_what_fails_is_undone_in_all_organisations(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Tenants()
    before, settings = dict(bench.entries), bench.settings
    wanted = [replace(with_alg(one, "ftp", False), refuse=RefuseMode.PASS) for one in settings]
    blue = bench.organisations._by_name["blue"]

    def boom(*_: object) -> None:
        raise RuntimeError("boom")

    with monkeypatch.context() as broken:
        broken.setattr(blue._data_flows, "leave_all", boom)
        with pytest.raises(RuntimeError):
            bench.reconfigure_all(*wanted)
    bench.event(ev.Tick())
    assert bench.entries == before
    for name, one in zip(("red", "blue"), settings, strict=True):
        assert bench.organisations.algs(name)["ftp"].enabled
        assert bench.organisations._by_name[name].settings is one
    bench.reconfigure_all(*wanted)
    assert bench.of(t.Service) == []
    assert {RED, BLUE} == {one.organisation for one in settings}
