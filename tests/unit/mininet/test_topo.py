"""A topology of ours has the same nodes, ports and addresses in Mininet; nothing is built here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from p4alg.lab import topology

pytest.importorskip("mininet", reason="needs Mininet (make setup)")

from p4alg.mininet import LabHost, LabTopo


def links(topo: LabTopo) -> dict[str, Any]:
    """What is known of each link, by the node that is not the switch it leads to."""
    return {first: info for first, _, info in topo.links(withInfo=True)}


@pytest.mark.parametrize("name", topology.SHIPPED)
def test_hosts_have_their_addresses_and_are_at_their_ports(name: str) -> None:
    lab, topo = topology.read(topology.find(name)), LabTopo(name)
    assert set(topo.hosts()) == {host.name for host in lab.hosts}
    assert set(topo.switches()) == set(lab.switches)
    assert len(topo.links()) == len(lab.hosts) + len(lab.trunks)
    for host in lab.hosts:
        info = topo.nodeInfo(host.name)
        assert (info["ip"], info["mac"], info["cls"]) == (str(host.address), host.mac, LabHost)
        link = links(topo)[host.name]
        assert (link["port2"], link["intfName1"]) == (host.port, "eth0")


def test_each_switch_has_its_configuration_and_its_place() -> None:
    topo = LabTopo("two-nats", grpc_port=5000, pcap=True)
    shown = {
        name: (info["config"].name, info["grpc"], info["number"], info["pcap"])
        for name in topo.switches()
        for info in [topo.nodeInfo(name)]
    }
    assert shown == {
        "home": ("two-nats.home.config.yaml", "127.0.0.1:5000", 1, True),
        "carrier": ("two-nats.carrier.config.yaml", "127.0.0.1:5001", 2, True),
    }


def test_without_a_port_a_switch_serves_on_a_socket_of_the_lab() -> None:
    assert LabTopo("nat").nodeInfo("switch")["grpc"] is None


def test_another_configuration_takes_the_place_of_the_one_beside() -> None:
    topo = LabTopo("nat", configs={"switch": Path("/mine.yaml")})
    assert topo.nodeInfo("switch")["config"] == Path("/mine.yaml")


def test_any_free_port_can_be_asked_for() -> None:
    ports = [LabTopo("nat", grpc_port=0).nodeInfo("switch")["grpc"] for _ in range(2)]
    assert all(int(address.rpartition(":")[2]) > 1023 for address in ports)


def test_interfaces_of_switches_have_names_that_Linux_takes() -> None:
    for name in topology.SHIPPED:
        lab = topology.read(topology.find(name))
        assert all(len(f"{s}-eth{max(lab.ports(s))}") < 16 for s in lab.switches)
