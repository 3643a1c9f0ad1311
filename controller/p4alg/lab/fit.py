"""Whether a topology and the configurations of its gateways fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from p4alg.config.errors import UsageError
from p4alg.config.organisations import read_names
from p4alg.config.source import load
from p4alg.config.zones import read_zones
from p4alg.lab.topology import Topology


def check(topology: Topology, configs: Mapping[str, Path]) -> None:
    """Raise `UsageError` if something is on a port that the configuration of its switch has not.

    Of each configuration, which is named by its switch, only the zones are looked at, and the
    names of organisations.
    """
    for switch, config in configs.items():
        if switch not in topology.switches:
            known = ", ".join(topology.switches)
            raise UsageError(f"no switch '{switch}' in '{topology.name}' (switches: {known})")
        root = load(config)
        if "zones" not in root.entries():
            raise root.error("'zones' is missing")
        names = read_names(root.entries().get("organisations"))
        zones = read_zones(root.entries()["zones"], names)
        known_ports = {(port, zone.vlan_id) for zone in zones for port in zone.ports}
        for port, vlan, what in _ends(topology, switch):
            if (port, vlan) not in known_ports:
                where = f"port {port}" + (f" and VLAN {vlan}" if vlan else "")
                raise UsageError(
                    f"'{what}' is on {where} of '{switch}', which no zone of {config} has: "
                    "add it there, or give another configuration by -c"
                )


def _ends(topology: Topology, switch: str) -> Iterator[tuple[int, int, str]]:
    """Port, VLAN and name of all that is connected to a switch."""
    for host in topology.hosts:
        if host.switch == switch:
            yield host.port, host.vlan, host.name
    for trunk in topology.trunks:
        for end, other in (trunk.ends, reversed(trunk.ends)):
            if end.switch == switch:
                yield end.port, 0, other.switch
