"""Views are plain data with stable keys, and add up with the tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from p4alg.alg.descriptor import Column, Context, View
from p4alg.engine import events as ev
from p4alg.engine.tables import FlowKey
from tests.unit.engine import test_engine_pptp as pptp
from tests.unit.engine.dialogue import PORT, Dialogue, greeted
from tests.unit.engine.harness import (
    IN_PORT,
    INSIDE,
    INSIDE2,
    REMOTE,
    UDP,
    WHOLE,
    AlgSettings,
    Bench,
    PortSpan,
    datagram,
    segment,
)
from tests.unit.engine.parts import TOY_ID, TOY_PORT, toy


@pytest.fixture(scope="module")
def busy() -> Bench:
    """An FTP connection with a pinhole, a plain flow, and one of a host with a whole address."""
    dialogue = greeted()
    dialogue.client(PORT)
    bench = dialogue.bench
    bench.new(datagram(INSIDE2, 5000, REMOTE, 53))
    bench.new(segment(WHOLE, 7, REMOTE, 9))
    bench.now += 2.04
    return bench


@pytest.mark.parametrize(
    "what",
    [
        *("algs", "services", "sessions", "bindings", "pinholes", "counters", "subscribers"),
        *("nat", "limits"),
    ],
)
def test_every_view_can_be_written_as_json(busy: Bench, what: str) -> None:
    shown = busy.show(what)
    assert shown
    assert json.loads(json.dumps(shown)) == shown


def test_a_pool_is_shown_with_its_blocks_and_hosts(busy: Bench) -> None:
    (pool,) = busy.show("nat")
    blocks = [block for row in busy.show("subscribers") for block in row["blocks"]]
    assert pool["addresses"] * (65536 // pool["block_size"] - 1) <= pool["blocks"]
    assert pool["blocks"] - pool["free"] >= len(blocks) > 0
    assert pool["hosts"] == len([row for row in busy.show("subscribers") if row["blocks"]])
    assert 0 < pool["percent_free"] < 100


def test_a_limit_is_shown_with_what_is_used_and_by_whom(busy: Bench) -> None:
    rows = {row["limit"]: row for row in busy.show("limits")}
    sessions = busy.show("sessions")
    assert rows["sessions"]["used"] == len(sessions)
    assert rows["pinholes"]["used"] == len(busy.show("pinholes")) == 1
    assert rows["bindings"]["used"] == len(
        [b for b in busy.show("bindings") if b["age"] is not None]
    )
    assert rows["pinholes_per_subscriber"] == {
        "limit": "pinholes_per_subscriber",
        "value": 4096,
        "used": 1,
        "host": "10.0.0.11",
    }
    assert (rows["message"]["used"], rows["message"]["host"]) == (None, "")


def test_an_empty_gateway_uses_nothing() -> None:
    rows = {row["limit"]: row for row in Bench().show("limits")}
    assert rows["sessions_per_subscriber"]["used"] == 0
    assert rows["sessions"]["used"] == 0


def test_a_session_is_shown_by_its_three_ends(busy: Bench) -> None:
    control, plain, whole = busy.show("sessions")
    assert control == {
        "proto": "tcp",
        "inside": "10.0.0.11:40000",
        "outside": control["outside"],
        "remote": "198.51.100.11:21",
        "state": "opening",
        "alg": "ftp",
        "label": "control",
        "opened_by": "inside",
        "age": 2.0,
        "idle_timeout": 240.0,
        "kept_by": "controller",
        "expires_in": None,
    }
    addr, port = busy.outside_of(UDP, INSIDE2, 5000)
    assert plain["outside"].endswith(f".{addr & 255}:{port}")
    assert (plain["state"], plain["alg"], plain["idle_timeout"]) == ("active", "", 30.0)
    assert (whole["inside"], whole["outside"]) == ("10.0.0.20:7", "192.0.2.20:7")


def test_bindings_are_counted_by_their_sessions(busy: Bench) -> None:
    rows = {row["inside"]: (row["kind"], row["sessions"]) for row in busy.show("bindings")}
    ages = {row["inside"]: row["age"] for row in busy.show("bindings")}
    # What is configured has no age.
    assert (ages["10.0.0.11:40000"], ages["10.0.0.20"]) == (2.0, None)
    assert rows == {
        "10.0.0.11:21": ("static", 0),
        "10.0.0.11:40000": ("dynamic", 1),
        "10.0.0.11:51210": ("pinhole", 0),
        "10.0.0.12:5000": ("dynamic", 1),
        "10.0.0.20": ("address", 1),
    }


def test_a_pinhole_is_shown_with_who_asked_for_it(busy: Bench) -> None:
    (row,) = busy.show("pinholes")
    assert row == {
        "id": row["id"],
        "proto": "tcp",
        "inside": "10.0.0.11:51210",
        "outside": row["outside"],
        "remote": "198.51.100.11:*",
        "alg": "ftp",
        "label": "ftp PORT",
        "control": "10.0.0.11:40000 -> 198.51.100.11:21",
        "age": 2.0,
        "expires_in": 58.0,
        "state": "open",
    }


def test_a_host_has_one_row_however_much_it_has(busy: Bench) -> None:
    keys = ("address", "bindings", "sessions", "pinholes", "controls")
    rows = [tuple(row[key] for key in keys) for row in busy.show("subscribers")]
    assert rows == [
        # The static binding does not count.
        ("10.0.0.11", 2, 1, 1, 1),
        ("10.0.0.12", 1, 1, 0, 0),
        ("10.0.0.20", 0, 1, 0, 0),
    ]
    outside = [row["outside"] for row in busy.show("subscribers")]
    assert outside[0] == "203.0.113.5"
    assert outside[2] == "192.0.2.20"


def test_G2_an_ALG_is_shown_with_its_counters(busy: Bench) -> None:
    (row,) = busy.show("algs")
    assert (row["name"], row["enabled"], row["services"]) == ("ftp", True, ["ftp"])
    assert (row["ports"], row["sessions"]) == (["tcp/21"], 1)
    assert row["counters"]["client.rewritten"] == 1
    assert row["counters"]["bytes-held"] > 0
    assert busy.counter("alg.ftp.client.rewritten") == 1


def test_a_service_is_shown_with_the_ALG_it_is_bound_to(busy: Bench) -> None:
    shown = {row["name"]: row for row in busy.show("services")}
    assert shown["ftp"] == {"name": "ftp", "ports": ["tcp/21"], "alg": "ftp"}


def test_the_numbers_of_a_call_are_shown_without_their_flag() -> None:
    call = pptp.Call(pptp.bench())
    ends = {(row["inside"], row["remote"]) for row in call.bench.show("pinholes")}
    assert ends == {("10.0.0.11:7", "198.51.100.11:0"), ("10.0.0.11:0", "198.51.100.11:99")}


def test_what_is_under_way_is_opening() -> None:
    dialogue: Dialogue = greeted()
    states: list[str] = []

    def look(_update: object) -> bool:
        states.extend(row["state"] for row in dialogue.bench.show("pinholes"))
        return False

    dialogue.bench.refuses = look
    dialogue.client(PORT)
    assert set(states) == {"opening"}


def test_an_ALG_may_bring_a_view_and_the_engine_knows_no_other() -> None:
    def rows(shared: Any, now: float) -> Sequence[Mapping[str, Any]]:
        return [{"n": shared, "now": now}]

    def share(context: Context) -> object:
        return context.message

    view = View(rows, (Column("N", lambda row: row["n"]),))
    alg = toy(views={"toys": view}, share=share)
    spans = {"toy": (PortSpan(UDP, TOY_PORT, TOY_PORT),)}
    bench = Bench(algs=(AlgSettings(alg, True, ("toy",)),), services=spans)
    assert bench.show("toys") == [{"n": 2048, "now": bench.now}]
    for what in ("nosuch", "", "_VIEWS"):
        with pytest.raises(KeyError):
            bench.show(what)


def test_the_sessions_of_an_ALG_are_its_control_sessions() -> None:
    spans = {"toy": (PortSpan(UDP, TOY_PORT, TOY_PORT),)}
    bench = Bench(algs=(AlgSettings(toy(), True, ("toy",)),), services=spans)
    bench.new(datagram(INSIDE, 6000, REMOTE, TOY_PORT), IN_PORT, TOY_ID)
    assert bench.show("algs")[0]["sessions"] == 1
    bench.event(ev.SessionIdle(FlowKey(UDP, INSIDE, 6000, REMOTE, TOY_PORT)))
    assert bench.show("algs")[0]["sessions"] == 0
    assert bench.show("sessions") == []
