"""Organisations: what belongs to one is its own, and every contradiction is told with its line."""

from __future__ import annotations

import pytest

from p4alg.config import loader
from p4alg.config.organisations import MAX_ORGANISATIONS, read_names, read_shares
from p4alg.config.source import parse
from p4alg.engine.settings import AddressForward, PortForward, Prefix, Settings, StaticRoute
from p4alg.engine.tables import PolicyAction, Side
from tests.unit.config.reading import refusal, section

TEXT = """\
organisations:
  red:
    nat:
      pools: [203.0.113.0/29]
      static:
        - {protocol: tcp, outside: "203.0.113.5:21", inside: "10.0.0.11:21"}
        - {outside: 192.0.2.1, inside: 10.0.0.12}
    policy: [{action: deny, protocol: tcp, ports: 25}]
    algs: {ftp: {enabled: false}}
    routes: [{to: 10.1.0.0/16, via: 10.0.0.2}]
    share: 30
  blue:
    nat: {pools: [203.0.113.8/29]}
    services: {odd: [tcp/2121]}
    algs: {ftp: {services: [odd, web]}}
    limits: {sessions: 500}
    refuse: pass
    denied_ports: [22]
zones:
  r: {side: inside, organisation: red, ports: [1], address: 10.0.0.1/24, mac: "02:00:00:01:00:01"}
  b: {side: inside, organisation: blue, ports: [2], address: 10.0.0.1/24, mac: "02:00:00:01:00:03"}
  wan: {side: outside, ports: [3], address: 198.51.100.1/24, mac: "02:00:00:01:00:02"}
services: {web: [tcp/8021]}
algs: {sip: {enabled: false}, ftp: {services: [web]}}
policy: [{action: deny, protocol: udp, ports: 53}]
routes: [{to: 0.0.0.0/0, via: 198.51.100.9}]
limits: {sessions: 10000}
"""


def read(text: str = TEXT) -> dict[str, Settings]:
    return {one.name: one for one in loader.from_item(parse(text, "c.yaml")).organisations}


def refused(old: str, new: str, text: str = TEXT) -> str:
    assert text.count(old) == 1
    return refusal(loader.from_item, text.replace(old, new))


def test_each_has_what_is_its_own() -> None:
    settings = read()
    red, blue = settings["red"], settings["blue"]
    assert (red.organisation, blue.organisation) == (1, 2)
    assert [zone.name for zone in red.zones] == ["r", "wan"]
    assert [zone.name for zone in blue.zones] == ["b", "wan"]
    assert (red.pools, blue.pools) == ((Prefix(0xCB007100, 29),), (Prefix(0xCB007108, 29),))
    assert red.forwards == (PortForward(6, 0x0A00000B, 21, 0xCB007105, 21),)
    assert red.address_forwards == (AddressForward(0x0A00000C, 0xC0000201),)
    assert not blue.forwards
    assert not blue.address_forwards
    assert (blue.refuse.value, blue.denied_ports) == ("pass", frozenset({22}))
    assert not red.is_only


def test_what_is_at_the_top_is_what_one_has_that_does_not_say_it() -> None:
    settings = read()
    rules = {name: [(r.proto, r.ports) for r in one.rules] for name, one in settings.items()}
    assert rules == {"red": [(6, (25, 25))], "blue": [(17, (53, 53))]}
    algs = {name: {alg.name: alg for alg in one.algs} for name, one in settings.items()}
    ftp = {name: (of["ftp"].enabled, of["ftp"].services) for name, of in algs.items()}
    assert ftp == {"red": (False, ("ftp",)), "blue": (True, ("odd", "web"))}
    assert not algs["red"]["sip"].enabled
    assert not algs["blue"]["sip"].enabled
    assert "odd" in settings["blue"].services
    assert "odd" not in settings["red"].services
    default = StaticRoute(Prefix(0, 0), 0xC6336409)
    assert settings["blue"].routes == (default,)
    assert settings["red"].routes == (default, StaticRoute(Prefix(0x0A010000, 16), 0x0A000002))


def test_limits_are_divided_by_shares() -> None:
    settings = read()
    red, blue = settings["red"], settings["blue"]
    assert (red.share, blue.share) == (0.3, 0.7)
    assert (red.limits.sessions, red.limits.sessions_per_subscriber) == (3000, 3000)
    assert (red.limits.pinholes, blue.limits.pinholes) == (2457, 5734)
    assert (red.limits.subscribers, blue.limits.subscribers) == (2457, 5734)
    assert (blue.limits.sessions, blue.limits.sessions_per_subscriber) == (500, 500)


def test_without_the_section_there_is_the_default_one() -> None:
    text = TEXT[TEXT.index("zones:") :].replace("organisation: red, ", "")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("  b:"))
    (only,) = read(text + "\nnat: {pools: [203.0.113.0/29]}\n").values()
    assert (only.name, only.organisation, only.share, only.is_only) == ("default", 0, 1.0, True)


def test_the_one_called_default_has_number_0_and_comes_first() -> None:
    settings = read(TEXT.replace("blue", "default"))
    assert {name: one.organisation for name, one in settings.items()} == {"default": 0, "red": 1}
    assert list(settings) == ["default", "red"]
    names = "{a: {}, default: {}, b: {}}"
    assert read_names(section(names)) == {"a": 1, "default": 0, "b": 2}


def test_a_zone_of_the_only_one_need_not_name_it() -> None:
    text = TEXT[: TEXT.index("  blue:")] + TEXT[TEXT.index("zones:") :]
    text = text.replace("organisation: red, ", "")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("  b:"))
    (red,) = read(text).values()
    assert (red.name, red.organisation, red.is_only) == ("red", 1, False)
    assert red.zones[0].organisation == 1


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("organisation: blue, ", "", "21: zone 'b' names no organisation (known: red, blue)"),
        ("organisation: blue", "organisation: green", "21: 'green' is not one of red, blue"),
        ("organisation: blue", "organisation: red", "21: 10.0.0.0/24 overlaps zone 'r'"),
        ("{side: outside, ", "{side: outside, organisation: red, ", "22: an outside zone is of no"),
        ("10.0.0.1/24, mac: \"02:00:00:01:00:03\"", "198.51.100.2/24, mac: \"02:00:00:01:00:03\"",
         "22: 198.51.100.0/24 overlaps zone 'b'"),
        ("203.0.113.8/29", "203.0.113.4/30", "13: 203.0.113.4/30 overlaps 203.0.113.0/29"),
        ("203.0.113.8/29", "203.0.112.0/23", "13: 203.0.112.0/23 overlaps 203.0.113.0/29"),
        ("203.0.113.8/29", "192.0.2.0/28", "13: 192.0.2.0/28 overlaps 192.0.2.1/32"),
        ("203.0.113.8/29", "10.0.0.0/28", "13: pool 10.0.0.0/28 overlaps inside zone 'r'"),
        ("nat: {pools: [203.0.113.8/29]}", "nat: {}", "13: 'pools' is missing"),
        ("    nat: {pools: [203.0.113.8/29]}\n", "", "12: 'nat' is missing"),
        ("pools: [203.0.113.8/29]", "pools: [192.0.2.64/29], filter: address", "13: the filter"),
        ("pools: [203.0.113.8/29]", "pools: [192.0.2.64/29], blocks: {size: 64}", "13: blocks"),
        ("pools: [203.0.113.8/29]", "pools: [192.0.2.64/29], exempt: [172.16.0.0/12]",
         "13: what comes from outside can be exempt for the organisation 'default' only"),
        ("{action: deny, protocol: tcp, ports: 25}", "{action: exempt, from: outside}",
         "8: what comes from outside can be exempt"),
        ("services: {odd: [tcp/2121]}", "services: {web: [tcp/2121]}", "14: service 'web' is"),
        ("[odd, web]", "[nosuch]", "15: no service 'nosuch'"),
        ("{sessions: 500}", "{sessions: 7001}", "16: sessions is above the organisation's share"),
        ("{sessions: 500}", "{flows_per_second: 5}", "16: flows_per_second is one for all"),
        ("{sessions: 500}", "{subscribers: 9000}", "16: 9000 is not in 1..8192"),
        ("share: 30", "share: 0", "11: 0 is not in 0.1..100"),
        ("share: 30", "share: 100", "12: the other shares leave nothing for 'blue'"),
        ("via: 10.0.0.2", "via: 10.9.0.2", "10: 10.9.0.2 is in no zone's network"),
        ("to: 10.1.0.0/16", "to: 0.0.0.0/0", "10: 0.0.0.0/0 has a route already"),
        ("via: 198.51.100.9", "via: 10.0.0.9",
         "26: 10.0.0.9 is in no zone's network outside: a route to inside belongs to an"),
        ("limits: {sessions: 10000}", "nat: {pools: [192.0.2.0/24]}",
         "27: 'pools' belongs to an organisation: organisations.NAME.nat"),
        ("limits: {sessions: 10000}", "nat: {blocks: {inside: [10.0.0.0/24]}}", "27: unknown key"),
        ("  blue:\n", "  Blue:\n", "12: 'Blue' is no name"),
        ("    refuse: pass\n", "    timers: {udp: 9}\n", "17: unknown key 'timers'"),
    ],
)  # fmt: skip
def test_contradictions_are_told_with_their_line(old: str, new: str, reason: str) -> None:
    assert refused(old, new).startswith(reason)


def test_one_without_an_inside_zone_is_told() -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith("  b:")]
    told = refusal(loader.from_item, "\n".join(lines))
    assert told == "12: organisation 'blue' has no inside zone"


def test_a_gateways_address_may_be_nobody_elses_behind_another_port() -> None:
    other = TEXT.replace("ports: [2], address: 10.0.0.1/24", "ports: [2], address: 10.0.0.254/24")
    # On one wire hosts reach each other without the gateway.
    read(other)
    told = refusal(loader.from_item, other.replace("ports: [2],", "ports: [2, 4],"))
    assert told == (
        "21: 10.0.0.1 in it is the gateway's address in zone 'r': "
        "give the gateway the same address in both"
    )


def test_there_may_be_255_and_no_more() -> None:
    names: dict[str, object] = {f"o{n}": {} for n in range(MAX_ORGANISATIONS)}
    assert sorted(read_names(section(str(names))).values()) == list(range(1, 256))
    more = str({**names, "one-more": {}})
    assert refusal(read_names, more) == "1: more than 255 organisations"
    assert refusal(read_names, "{}") == "1: at least one organisation is needed"


def test_shares_that_are_not_given_are_equal() -> None:
    assert read_shares(section("{a: {}, b: {}, c: {share: 50}}")) == {
        "a": 0.25,
        "b": 0.25,
        "c": 0.5,
    }
    told = refusal(read_shares, "{a: {share: 60}, b: {share: 60}}")
    assert told == "1: the shares of the organisations add up to 120 percent"


def test_a_rule_that_exempts_within_an_organisation_is_fine() -> None:
    rule = "{action: exempt, destination: 10.1.0.0/16}"
    settings = read(TEXT.replace("{action: deny, protocol: tcp, ports: 25}", rule))
    (exempt,) = settings["red"].rules
    assert (exempt.action, exempt.side) == (PolicyAction.EXEMPT, None)
    assert [zone.side for zone in settings["red"].zones] == [Side.INSIDE, Side.OUTSIDE]
