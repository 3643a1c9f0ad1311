"""The files of a lab say what the topology says."""

from __future__ import annotations

import json

from p4alg.lab import files, topology
from p4alg.lab.state import Served


def test_every_host_and_every_published_name_has_its_address() -> None:
    lab = topology.read(topology.find("office"))
    lines = files.hosts_file(lab).splitlines()
    assert lines[0] == "127.0.0.1 localhost"
    assert "10.0.20.11 ftp" in lines
    assert "203.0.113.5 ftp.office.example" in lines
    assert len(lines) == 1 + len(lab.hosts) + len(lab.names)


def test_the_description_has_the_form_of_the_P4_tutorials() -> None:
    lab = topology.read(topology.find("two-nats"))
    served = {"home": Served("127.0.0.1:9559", 1), "carrier": Served("127.0.0.1:9560", 2)}
    shown = json.loads(files.topology_json(lab, served))
    assert shown["hosts"]["inside1"] == {
        "ip": "10.0.0.11/24",
        "mac": "02:00:0a:00:00:0b",
        "commands": ["route add default gw 10.0.0.1"],
    }
    assert shown["hosts"]["outside1"]["commands"] == [
        "ip route add 203.0.113.0/28 via 198.51.100.1"
    ]
    assert shown["switches"]["carrier"] == {"grpc": "127.0.0.1:9560", "device_id": 2}
    assert ["inside1", "home-p1"] in shown["links"]
    assert ["home-p3", "carrier-p1"] in shown["links"]


def test_a_VLAN_is_described_too() -> None:
    lab = topology.read(topology.find("office"))
    hosts = json.loads(files.topology_json(lab, {}))["hosts"]
    assert hosts["ftp"]["vlan"] == 20
    assert "vlan" not in hosts["pc1"]
