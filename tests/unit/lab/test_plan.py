"""The commands of a lab name what is the lab's, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from p4alg.lab import plan, topology
from p4alg.p4constants import CPU_PORT

FOLDER = Path("/run/lab")


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
        command = plan.switch_command(plan.switch("switch", target, lab, FOLDER), "python3")
        assert [w for w in command if "@port" in w] == ["1@port1", "2@port2", "3@port3", "4@port4"]


def test_a_wire_joins_a_port_of_the_switch_and_a_host() -> None:
    lab = topology.read(topology.find("nat"))
    commands = [" ".join(command) for command in plan.build("x-", lab)]
    end = "peer name eth0 address 02:00:c6:33:64:0b netns x-outside1"
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
    lab = topology.read(topology.find("nat"))
    command = plan.switch_command(plan.switch("switch", target, lab, FOLDER), "python3")
    assert "unix:/run/lab/switch.p4rt" in command
    assert command[command.index("--device-id") + 1] == str(plan.DEVICE_ID)
    assert command[command.index("--cpu-port") + 1] == str(CPU_PORT)


def test_commands_run_inside_a_namespace_with_the_interpreter_that_is_given() -> None:
    command = plan.controller_command(Path("/c.yaml"), "/usr/bin/python3")
    assert plan.inside("x-switch", *command) == [
        *("ip", "netns", "exec", "x-switch"),
        *("/usr/bin/python3", "-m", "p4alg", "run", "-c", "/c.yaml"),
    ]


def test_each_host_has_a_MAC_address_of_its_own() -> None:
    for name in topology.SHIPPED:
        lab = topology.read(topology.find(name))
        # Those of different organisations may have the same, as they may have the same address.
        assert len({(host.organisation, host.mac) for host in lab.hosts}) == len(lab.hosts)
        words = {word for command in plan.build("x-", lab) for word in command}
        assert {host.mac for host in lab.hosts} <= words


def test_each_switch_has_its_own_ports_and_a_trunk_joins_two_of_them() -> None:
    lab = topology.read(topology.find("two-nats"))
    assert [dict(plan.switch(name, "bmv2", lab, FOLDER).ports) for name in lab.switches] == [
        {1: "port1", 2: "port2", 3: "port3"},
        {1: "port1", 2: "port2", 3: "port3", 4: "port4"},
    ]
    commands = [" ".join(command) for command in plan.build("x-", lab)]
    assert "ip link add port3 netns x-home type veth peer name port1 netns x-carrier" in commands
    assert "ip -n x-carrier link set port1 up" in commands


def test_a_host_on_a_VLAN_has_its_address_on_the_interface_of_the_VLAN_only() -> None:
    lab = topology.read(topology.find("office"))
    (ftp,) = [host for host in lab.hosts if host.name == "ftp"]
    built = [" ".join(command) for command in plan.build("x-", lab)]
    assert not [line for line in built if str(ftp.address) in line]
    assert [" ".join(command) for command in plan.address("x-", ftp)] == [
        "ip -n x-ftp addr add 10.0.20.11/24 dev eth0.20",
        "ip -n x-ftp link set eth0.20 up",
        "ip -n x-ftp route add default via 10.0.20.1",
    ]
    assert " ".join(plan.kernel_vlan(ftp)) == "link add link eth0 name eth0.20 type vlan id 20"
    assert plan.own_vlan(ftp)[0] == ["tuntap", "add", "dev", "eth0.20", "mode", "tap"]
    assert plan.tagger_command(ftp, "python3")[-3:] == ["eth0", "20", "eth0.20"]


def test_in_the_namespace_of_the_machine_a_command_is_run_as_it_is() -> None:
    assert plan.inside(plan.MACHINE, "true", "x") == ["true", "x"]


def test_BMv2_gets_a_Thrift_port_only_where_it_has_Thrift() -> None:
    ports = {1: "s1-eth1"}
    without = plan.switch_command(plan.Switch("s1", "bmv2", ports, "h:1"), "python3")
    assert "--thrift-port" not in without
    command = plan.switch_command(
        plan.Switch("s1", "bmv2", ports, "h:1", thrift_port=9091), "python3"
    )
    # Options of BMv2 stand before those of its target.
    assert command[command.index("--thrift-port") + 1] == "9091"
    assert command.index("--thrift-port") < command.index("--")


def test_an_embedded_switch_chooses_its_workers_unless_they_are_given() -> None:
    switch = plan.Switch("s1", "embedded", {1: "s1-eth1"}, "h:1")
    assert "--workers" not in plan.switch_command(switch, "python3")
    command = plan.switch_command(replace(switch, workers=2), "python3")
    assert command[command.index("--workers") + 1] == "2"
