"""Topology files: the shipped one is as documented, wrong ones are refused with their line."""

from __future__ import annotations

import pytest

from p4alg.config.errors import ConfigError, UsageError
from p4alg.config.source import parse
from p4alg.lab import plan, topology

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


def test_every_namespace_and_interface_of_the_plan_belongs_to_the_lab() -> None:
    lab = topology.read(topology.find("nat"))
    spaces = set(plan.namespaces("x-", lab))
    for command in plan.build("x-", lab):
        named = {word for word in command if word.startswith("x-")}
        assert named
        assert named <= spaces


def test_both_targets_get_the_same_ports() -> None:
    lab = topology.read(topology.find("nat"))
    for target in plan.TARGETS:
        command = plan.switch_command(target, lab, "python3")
        assert [w for w in command if "@" in w] == ["1@port1", "2@port2", "3@port3", "4@port4"]
