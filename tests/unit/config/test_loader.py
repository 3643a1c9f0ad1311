"""Configurations: the example is read in full, every contradiction is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.registry import algs
from p4alg.artifacts import PROGRAMS, shipped
from p4alg.config import loader, places, switch
from p4alg.config.editing import set_value
from p4alg.config.errors import ConfigError
from p4alg.config.loader import from_item, read_text
from p4alg.config.source import parse
from p4alg.engine.settings import (
    AddressForward,
    AlgSettings,
    Limits,
    PortForward,
    PortSpan,
    Prefix,
    RefuseMode,
    Rule,
    StaticRoute,
    Timers,
    Zone,
)
from p4alg.engine.tables import FilterMode, PolicyAction, Side
from tests.unit.config.reading import at_line

EXAMPLE = Path(__file__).parents[3] / "topologies" / "nat.config.yaml"
TEXT = """\
# The gateway of the lab `nat`: hosts on ports 1 and 2 inside, 3 and 4 outside.
switch: {grpc: 127.0.0.1:9559, device_id: 1}
zones:
  inside: {side: inside, ports: [1, 2], address: 10.0.0.1/24, mac: "02:00:00:01:00:01"}
  outside: {side: outside, ports: [3, 4], address: 198.51.100.1/24, mac: "02:00:00:01:00:02"}
nat:
  pools: [203.0.113.0/28]
  filter: address-and-port
  static:
    # An FTP server on inside1, reached from outside.
    - {protocol: tcp, outside: "203.0.113.5:21", inside: "10.0.0.11:21"}
# ALGs are on by default, each on the service of its own name.
services:
  ftp-alt: [tcp/2121]
algs:
  ftp: {services: [ftp, ftp-alt]}
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loader.from_item(parse(text, "c.yaml"))
    return at_line(caught.value)


def test_the_example_is_read_in_full() -> None:
    settings = loader.read(EXAMPLE).settings
    inside, outside = 0x0A000001, 0xC6336401
    assert settings.zones == (
        Zone("inside", 1, Side.INSIDE, (1, 2), 0, inside, 24, 0x020000010001),
        Zone("outside", 2, Side.OUTSIDE, (3, 4), 0, outside, 24, 0x020000010002),
    )
    assert settings.pools == (Prefix(0xCB007100, 28),)
    assert settings.filter_mode is FilterMode.ADDRESS_AND_PORT
    assert settings.forwards == (
        PortForward(6, 0x0A00000B, 21, 0xCB007105, 21),
        PortForward(17, 0x0A00000B, 69, 0xCB007105, 69),
        PortForward(6, 0x0A00000B, 1723, 0xCB007105, 1723),
    )
    others = (AlgSettings(alg, alg.is_on, (name,)) for name, alg in algs().items() if name != "ftp")
    assert settings.algs == (AlgSettings(algs()["ftp"], True, ("ftp", "ftp-alt")), *others)
    assert settings.services["ftp-alt"] == (PortSpan(6, 2121, 2121),)
    assert settings.timers == Timers()
    assert settings.limits == Limits()
    assert settings.refuse is RefuseMode.RESET


MORE = """\
routes:
  - {to: 192.168.0.0/16, via: 10.0.0.2}
policy:
  - {action: deny, from: inside, protocol: tcp, destination: 192.0.2.0/24, ports: 25-26}
  - {action: exempt, protocol: 50}
timers: {udp: 200, tcp_established: 8000}
limits: {bindings: 1000, sessions: 5000, pinhole_lifetime: 30}
refuse: pass
denied_ports: [3306, 6000-6002]
control: {socket: /tmp/s.sock, state: /tmp/s.json, metrics: "127.0.0.1:9469"}
"""


def test_every_other_section_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (places.SOCKET_VARIABLE, places.STATE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    text = TEXT.replace("  static:\n", "  exempt: [172.16.0.0/12]\n  static:\n")
    whole = "    - {outside: 192.0.2.9, inside: 10.0.0.12}\n# ALGs"
    config = loader.from_item(parse(text.replace("# ALGs", whole, 1) + MORE, "c.yaml"))
    settings = config.settings
    assert settings.routes == (StaticRoute(Prefix(0xC0A80000, 16), 0x0A000002),)
    assert settings.rules[:2] == (
        Rule(PolicyAction.DENY, Side.INSIDE, 6, None, Prefix(0xC0000200, 24), (25, 26)),
        Rule(PolicyAction.EXEMPT, None, 50),
    )
    there = Prefix(0xAC100000, 12)
    assert settings.rules[2:] == (
        Rule(PolicyAction.EXEMPT, Side.INSIDE, destination=there),
        Rule(PolicyAction.EXEMPT, Side.OUTSIDE, source=there),
    )
    assert settings.address_forwards == (AddressForward(0x0A00000C, 0xC0000209),)
    assert (settings.timers.udp, settings.timers.tcp_established) == (200.0, 8000.0)
    limits = settings.limits
    assert (limits.bindings, limits.sessions, limits.pinhole_lifetime) == (1000, 5000, 30.0)
    assert (limits.bindings_per_subscriber, limits.sessions_per_subscriber) == (1000, 5000)
    assert settings.refuse is RefuseMode.PASS
    assert settings.denied_ports == {3306, 6000, 6001, 6002}
    assert (str(config.control.socket), str(config.control.state)) == ("/tmp/s.sock", "/tmp/s.json")
    assert config.control.metrics == "127.0.0.1:9469"


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.SOCKET_VARIABLE, "/run/lab.sock")
    config = loader.from_item(parse(TEXT + MORE, "c.yaml"))
    assert str(config.control.socket) == "/run/lab.sock"


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("switch:", "swich:", 2, "unknown key 'swich'"),
        ("127.0.0.1:9559", "127.0.0.1", 2, "is not HOST:PORT"),
        ("ports: [3, 4]", "ports: [2, 4]", 5, "port 2 is in zone 'inside' already"),
        ("198.51.100.1/24", "10.0.0.9/16", 5, "overlaps zone 'inside'"),
        ("[203.0.113.0/28]", "[198.51.100.0/28]", 7, "holds the gateway's own"),
        ("[203.0.113.0/28]", "[]", 7, "at least one pool"),
        ("filter: address-and-port", "filter: none", 8, "'none' is not one of"),
        ("filter:", "pools: []\n  filter:", 8, "'pools' is given twice"),
        ("  ftp: {", "  smtp: {", 16, "unknown key 'smtp'"),
        ("services:", "timers: {udp: 0}\nservices:", 13, "0 is not in 1.0"),
        (
            "services:",
            "limits: {bindings: 10, bindings_per_subscriber: 11}\nservices:",
            13,
            "is above bindings (10)",
        ),
        ("services:", "refuse: drop\nservices:", 13, "'drop' is not one of"),
        ("services:", "denied_ports: [0]\nservices:", 13, "is not PORT or FIRST-LAST"),
        ("services:", "policy: [{action: deny, ports: 5}]\nservices:", 13, "ports need protocol"),
    ],
)
def test_a_contradiction_is_refused_with_its_line(
    old: str, new: str, line: int, reason: str
) -> None:
    assert old in TEXT
    message = refusal(TEXT.replace(old, new, 1))
    assert reason in message
    assert message.startswith(f"c.yaml:{line}: ")
    assert "\n" not in message


@given(st.text(max_size=60))
def test_no_text_does_anything_but_be_refused(text: str) -> None:
    """Invariant: any input ends in a one-line ConfigError, never in another exception."""
    assert refusal(text)


def test_an_unknown_key_is_refused_with_its_own_line() -> None:
    message = refusal(TEXT + "nonsense:\n  more: 1\n")
    assert message.startswith(f"c.yaml:{len(TEXT.splitlines()) + 1}: unknown key 'nonsense'")


def test_what_can_be_chosen_of_single_algs_is_read() -> None:
    chosen = TEXT.replace(
        "  ftp: {services",
        "  sip: {inbound_from_anyone: true, candidates: rewrite, calls_per_second: 7}\n"
        "  ike: {keep_port: true, require_ike: false}\n  ftp: {services",
    )
    settings = loader.from_item(parse(chosen, "c.yaml")).settings
    options = {alg.name: alg.all_options for alg in settings.algs}
    assert options["sip"] == {
        "inbound_from_anyone": True,
        "candidates": "rewrite",
        "calls_per_second": 7,
        "registrations_per_second": 50,
    }
    assert options["ike"] == {"keep_port": True, "require_ike": False}
    assert options["ftp"] == {}


def test_there_must_be_room_for_the_hosts_of_static_mappings() -> None:
    ours = '    - {protocol: tcp, outside: "203.0.113.5:21", inside: "10.0.0.11:21"}\n'
    two = TEXT.replace(ours, ours + "    - {outside: 192.0.2.9, inside: 10.0.0.12}\n")
    assert loader.from_item(parse(two + "limits: {subscribers: 2}\n", "c.yaml"))
    message = refusal(two + "limits: {subscribers: 1}\n")
    assert message == "c.yaml:18: static mappings lead to 2 hosts, and subscribers is 1"


def test_an_unknown_way_with_candidates_is_refused() -> None:
    wrong = TEXT.replace("  ftp: {services", "  sip: {candidates: keep}\n  ftp: {services")
    assert "'keep' is not one of remove, rewrite" in refusal(wrong)


@pytest.mark.parametrize("place", ["localhost", ":9469", "h:0", "unix:/run/m.sock"])
def test_metrics_are_served_at_a_host_and_port(place: str) -> None:
    text = TEXT.replace("zones:", f'control: {{metrics: "{place}"}}\nzones:', 1)
    assert refusal(text).endswith(f"'{place}' is not HOST:PORT")


@pytest.mark.parametrize("grpc", ["localhost", ":9559", "h:0", "h:65536", "h:", "h:-1", "h: 1"])
def test_a_switch_is_named_by_host_and_port(grpc: str) -> None:
    message = refusal(TEXT.replace("127.0.0.1:9559", f'"{grpc}"'))
    assert message == f"c.yaml:2: '{grpc}' is not HOST:PORT or unix:/PATH"


def test_without_a_section_the_switch_and_the_socket_are_those_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (places.SOCKET_VARIABLE, places.STATE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    lines = [line for line in TEXT.splitlines() if not line.startswith("switch:")]
    config = loader.from_item(parse("\n".join(lines), "c.yaml"))
    assert config.switch == switch.Switch()
    assert config.control.socket == places.default_socket() == Path("/run/p4alg/control.sock")
    assert config.control.state == Path("/var/lib/p4alg/revisions")
    monkeypatch.setenv(places.SOCKET_VARIABLE, "/run/lab.sock")
    assert places.default_socket() == Path("/run/lab.sock")


def test_each_variant_of_the_program_has_its_place() -> None:
    assert set(switch.PROGRAMS) == set(PROGRAMS)
    for name in switch.PROGRAMS:
        shipped(name).verify()


def test_a_program_may_be_in_a_folder_beside_the_configuration(tmp_path: Path) -> None:
    def program(text: str) -> str:
        item = parse(f"{{program: {text}}}", str(tmp_path / "c.yaml"))
        return switch.read_switch(item).program

    (tmp_path / "tofino").mkdir()
    assert program("./tofino") == str(tmp_path / "tofino")
    assert program("large") == "large"
    with pytest.raises(ConfigError, match="is no folder"):
        program("./missing")
    with pytest.raises(ConfigError, match="'tofino' is not one of standard, large"):
        program("tofino")


def test_every_contradiction_is_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
zones:
  inside: {side: inside, ports: [1, 2], address: 10.0.0.1/24, mac: "02:00:00:01:00:01"}
  outside: {side: outside, ports: [3], address: 198.51.100.1/24, mac: "02:00:00:01:00:02"}
nat:
  pools: [203.0.113.0/28]
  static:
    - {protocol: tcp, outside: "203.0.113.5:21", inside: "10.9.0.11:21"}
    - {protocol: udp, outside: "203.0.113.5:69", inside: "10.0.0.11:x"}
policy:
  - {action: allow}
  - {action: deny, ports: 5}
timers: {udp: 0, icmp: x}
services: {web: [tcp/0]}
refuse: drop
what: 1
"""
    with pytest.raises(ConfigError) as caught:
        from_item(parse(text, "c.yaml"))
    places = [(problem.line, problem.column) for problem in caught.value.problems]
    assert places == [
        *((7, 58), (8, 58), (10, 14), (11, 27)),
        *((12, 15), (12, 24), (13, 18), (14, 9), (15, 7)),
    ]
    assert str(caught.value).splitlines() == list(caught.value.lines)
    assert caught.value.lines[-1].startswith("c.yaml:15:7: unknown key 'what'")


def test_contradictions_of_several_organisations_are_told_at_once() -> None:
    text = (Path(__file__).parents[3] / "topologies" / "tenants.config.yaml").read_text()
    broken = set_value(text, "organisations.red.refuse", "drop")
    broken = set_value(broken, "organisations.red.limits", {"sessions": 0})
    broken = set_value(broken, "organisations.blue.denied_ports", [0])
    with pytest.raises(ConfigError) as caught:
        read_text(broken, Path("c.yaml"))
    assert len(caught.value.problems) == 3
