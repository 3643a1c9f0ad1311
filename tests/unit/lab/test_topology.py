"""Topology files: the shipped one is as documented, wrong ones are refused with their line."""

from __future__ import annotations

import os
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from p4alg.config.errors import ConfigError, UsageError
from p4alg.config.source import parse
from p4alg.lab import topology
from tests.unit.config.reading import at_line

HEAD = "name: t\nhosts:\n"


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        topology.from_item(parse(text, "t.yaml"))
    return at_line(caught.value)


def test_the_default_lab_has_the_documented_hosts() -> None:
    lab = topology.read(topology.find("nat"))
    assert [(h.name, h.port, str(h.address), str(h.gateway)) for h in lab.hosts] == [
        ("inside1", 1, "10.0.0.11/24", "10.0.0.1"),
        ("inside2", 2, "10.0.0.12/24", "10.0.0.1"),
        ("outside1", 3, "198.51.100.11/24", "None"),
        ("outside2", 4, "198.51.100.12/24", "None"),
    ]
    assert [(str(r.to), str(r.via)) for h in lab.hosts[2:] for r in h.routes] == [
        ("203.0.113.0/28", "198.51.100.1")
    ] * 2


def test_an_unknown_topology_name_is_refused() -> None:
    with pytest.raises(UsageError, match="no topology 'nosuch'"):
        topology.find("nosuch")


@pytest.mark.parametrize(
    ("body", "line", "reason"),
    [
        ("  a: {port: 1}", 3, "'address' is missing"),
        ("  a: {port: 1, address: 10.0.0.2/24, colour: 3}", 3, "unknown key 'colour'"),
        ("  a: {port: 0, address: 10.0.0.2/24}", 3, "0 is not in 1..509"),
        ("  a: {port: 1, address: 10.0.0.2}", 3, "is not an address with a prefix length"),
        ("  A: {port: 1, address: 10.0.0.2/24}", 3, "'A' cannot be a name"),
        ("  switch: {port: 1, address: 10.0.0.2/24}", 3, "'switch' cannot be a name"),
        ("  a: {port: 1, address: 10.0.0.2/24, gateway: 10.0.1.1}", 3, "is not a neighbour"),
        (
            "  a: {port: 1, address: 10.0.0.2/24}\n  b: {port: 1, address: 10.0.0.3/24}",
            4,
            "port 1 is taken by 'a'",
        ),
        (
            "  a: {port: 1, address: 10.0.0.2/24}\n  b: {port: 2, address: 10.0.0.2/24}",
            4,
            "10.0.0.2 is the address of 'a' already",
        ),
    ],
)
def test_a_wrong_host_is_refused_with_its_line(body: str, line: int, reason: str) -> None:
    message = refusal(HEAD + body)
    assert message.startswith(f"t.yaml:{line}: ")
    assert reason in message


def test_a_file_is_read_by_its_path_and_a_shipped_one_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + "  a: {port: 1, address: 10.0.0.2/24}\n", encoding="utf-8")
    made = topology.read(topology.find(str(path)))
    address = IPv4Interface("10.0.0.2/24")
    host = topology.Host("a", 1, address, None, ())
    assert made == topology.Topology("t", (host,), file=path)
    assert topology.find("nat").name == "nat.yaml"
    # The configuration beside it is none.
    with pytest.raises(UsageError):
        topology.find("nat.config")


def test_hosts_are_bounded() -> None:
    many = "".join(f"  h{n}: {{port: 1, address: 10.0.0.2/24}}\n" for n in range(65))
    assert refusal(HEAD + many) == "t.yaml:2: a lab has 1..64 hosts"
    assert refusal("name: t\nhosts: {}\n") == "t.yaml:2: a lab has 1..64 hosts"


def test_a_switch_of_its_own_name_takes_up_to_eight_characters() -> None:
    hosts = "hosts:\n  a: {port: 1, address: 10.0.0.2/24}\n"
    made = topology.from_item(parse(f"name: t\nswitches: [edge]\n{hosts}", "t.yaml"))
    assert (made.switches, made.hosts[0].switch) == (("edge",), "edge")
    for word in ("UPPER", "ninechars", "''"):
        said = refusal(f"name: t\nswitches: [{word}]\n{hosts}")
        assert "cannot be a switch" in said or "expected text" in said
    assert "each name once" in refusal(f"name: t\nswitches: [a1, a1]\n{hosts}")
    assert "1..8 switches" in refusal(f"name: t\nswitches: []\n{hosts}")


TWO = "name: t\nswitches: [left, right]\n"


@pytest.mark.parametrize(
    ("rest", "line", "reason"),
    [
        ("hosts:\n  a: {port: 1, address: 10.0.0.2/24}\n", 4, "'switch' is missing"),
        ("hosts:\n  left: {switch: left, port: 1, address: 10.0.0.2/24}\n", 4, "cannot be a name"),
        ("hosts:\n  a: {switch: up, port: 1, address: 10.0.0.2/24}\n", 4, "'up' is not one of"),
        (
            "trunks: [['left:1', 'right:1']]\n"
            "hosts:\n  a: {switch: left, port: 1, address: 10.0.0.2/24}\n",
            3,
            "port 1 is taken by 'a'",
        ),
        (
            "trunks: [['left:2', 'up:1']]\n"
            "hosts:\n  a: {switch: left, port: 1, address: 10.0.0.2/24}\n",
            3,
            "'up:1' is not SWITCH:PORT (switches: left, right; ports: 1..509)",
        ),
        (
            "trunks: [['left:2']]\nhosts:\n  a: {switch: left, port: 1, address: 10.0.0.2/24}\n",
            3,
            "a trunk is a list of two ends",
        ),
        (
            "names: {a: 10.0.0.3}\nhosts:\n  a: {switch: left, port: 1, address: 10.0.0.2/24}\n",
            3,
            "'a' cannot be a name here",
        ),
    ],
)
def test_what_several_switches_need_is_checked(rest: str, line: int, reason: str) -> None:
    message = refusal(TWO + rest)
    assert message.startswith(f"t.yaml:{line}:")
    assert reason in message


@pytest.mark.parametrize("listens", ["tcp", "tcp/0", "tcp/70000", "sctp/1"])
def test_a_server_says_where_it_listens(listens: str) -> None:
    server = f"{{run: x, listens: {listens}}}"
    body = f"  a:\n    port: 1\n    address: 10.0.0.2/24\n    servers: [{server}]"
    assert f"'{listens}' is not tcp/PORT or udp/PORT" in refusal(HEAD + body)


def test_a_configuration_beside_the_file_is_found_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + "  a: {port: 1, address: 10.0.0.2/24}\n", encoding="utf-8")
    made = topology.read(path)
    assert made.config("switch") is None
    (tmp_path / "mine.config.yaml").touch()
    assert made.config("switch") == tmp_path / "mine.config.yaml"
    shipped = topology.read(topology.find("two-nats"))
    names = [path.name for path in map(shipped.config, shipped.switches) if path is not None]
    assert names == ["two-nats.home.config.yaml", "two-nats.carrier.config.yaml"]


@pytest.mark.parametrize("name", topology.SHIPPED)
def test_the_scripts_that_a_shipped_topology_runs_are_beside_it(name: str) -> None:
    lab = topology.read(topology.find(name))
    for server in (server for host in lab.hosts for server in host.servers):
        script = server.command.split()[0]
        assert os.access(topology.folder() / script, os.X_OK), script


def test_hosts_of_different_organisations_may_have_the_same_address() -> None:
    tenants = topology.read(topology.find("tenants"))
    same = {host.name for host in tenants.hosts if str(host.address.ip) == "10.0.0.11"}
    assert same == {"red1", "blue1"}
    text = (topology.folder() / "tenants.yaml").read_text(encoding="utf-8")
    told = refusal(text.replace("organisation: blue", "organisation: red"))
    assert "10.0.0.11 is the address of 'red1' already" in told
