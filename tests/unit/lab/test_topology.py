"""Topology files: the shipped one is as documented, wrong ones are refused with their line."""

from __future__ import annotations

from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from p4alg.config.errors import ConfigError, UsageError
from p4alg.config.source import parse
from p4alg.lab import topology

HEAD = "name: t\nhosts:\n"


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        topology.from_item(parse(text, "t.yaml"))
    return str(caught.value)


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
        ("  a: {port: 1, address: 10.0.0.2/24, vlan: 3}", 3, "unknown key 'vlan'"),
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
    assert made == topology.Topology("t", (topology.Host("a", 1, address, None, ()),))
    assert topology.find("nat").name == "nat.yaml"
    # The configuration beside it is none.
    with pytest.raises(UsageError):
        topology.find("nat.config")


def test_hosts_are_bounded() -> None:
    many = "".join(f"  h{n}: {{port: 1, address: 10.0.0.2/24}}\n" for n in range(65))
    assert refusal(HEAD + many) == "t.yaml:2: a lab has 1..64 hosts"
    assert refusal("name: t\nhosts: {}\n") == "t.yaml:2: a lab has 1..64 hosts"
