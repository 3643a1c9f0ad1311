"""The commands of a lab name what is the lab's, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4alg.config.source import parse
from p4alg.lab import plan, topology
from p4alg.p4constants import CPU_PORT


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


def test_a_wire_joins_a_port_of_the_switch_and_a_host() -> None:
    lab = topology.read(topology.find("nat"))
    commands = [" ".join(command) for command in plan.build("x-", lab)]
    end = "peer name eth0 address 02:00:00:00:00:03 netns x-outside1"
    assert f"ip link add port3 netns x-switch type veth {end}" in commands
    assert "ip -n x-outside1 addr add 198.51.100.11/24 dev eth0" in commands
    assert "ip -n x-outside1 route add 203.0.113.0/28 via 198.51.100.1" in commands
    assert "ip -n x-inside1 route add default via 10.0.0.1" in commands
    assert not [line for line in commands if "x-outside1 route add default" in line]


def test_a_namespace_is_there_before_anything_is_in_it() -> None:
    lab = topology.read(topology.find("nat"))
    made: set[str] = set()
    for command in plan.build("x-", lab):
        if command[:3] == ["ip", "netns", "add"]:
            made.add(command[3])
        else:
            assert {word for word in command if word.startswith("x-")} <= made
    assert made == set(plan.namespaces("x-", lab))
    assert plan.namespaces("x-", lab)[0] == "x-switch"


@pytest.mark.parametrize("target", plan.TARGETS)
def test_a_switch_serves_where_the_controller_looks_for_it(target: str) -> None:
    command = plan.switch_command(target, topology.read(topology.find("nat")), "python3")
    assert plan.GRPC in command
    assert command[command.index("--device-id") + 1] == str(plan.DEVICE_ID)
    assert command[command.index("--cpu-port") + 1] == str(CPU_PORT)


def test_commands_run_inside_a_namespace_with_the_interpreter_that_is_given() -> None:
    command = plan.controller_command(Path("/c.yaml"), "/usr/bin/python3")
    assert plan.inside("x-switch", *command) == [
        *("ip", "netns", "exec", "x-switch"),
        *("/usr/bin/python3", "-m", "p4alg", "run", "-c", "/c.yaml"),
    ]


def test_each_host_has_a_MAC_address_of_its_own() -> None:
    text = "name: t\nhosts:\n  a: {port: 509, address: 10.0.0.2/24}\n"
    lab = topology.from_item(parse(text, "t.yaml"))
    assert "02:00:00:00:01:fd" in [word for command in plan.build("x-", lab) for word in command]
