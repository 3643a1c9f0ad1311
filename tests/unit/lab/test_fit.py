"""A topology whose ports the configuration does not know is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4alg.config.errors import ConfigError, UsageError
from p4alg.config.source import parse
from p4alg.lab import fit, topology

CONFIG = """\
zones:
  inside: {side: inside, ports: [1], address: 10.0.0.1/24, mac: "02:00:00:01:00:01"}
  dmz: {side: inside, ports: [3], vlan: 20, address: 10.0.20.1/24, mac: "02:00:00:01:00:03"}
  outside: {side: outside, ports: [2], address: 198.51.100.1/24, mac: "02:00:00:01:00:02"}
nat:
  pools: [203.0.113.0/28]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "x.config.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def lab(hosts: str) -> topology.Topology:
    return topology.from_item(parse(f"name: t\nhosts:\n{hosts}", "t.yaml"))


@pytest.mark.parametrize("name", topology.SHIPPED)
def test_every_shipped_topology_fits_the_configurations_beside_it(name: str) -> None:
    shipped = topology.read(topology.find(name))
    configs = {switch: shipped.config(switch) for switch in shipped.switches}
    fit.check(shipped, {switch: path for switch, path in configs.items() if path is not None})
    assert None not in configs.values()


def test_a_port_of_no_zone_is_named_with_what_to_do(config: Path) -> None:
    fit.check(lab("  a: {port: 1, address: 10.0.0.2/24}\n"), {"switch": config})
    with pytest.raises(UsageError) as caught:
        fit.check(lab("  a: {port: 7, address: 10.0.0.2/24}\n"), {"switch": config})
    assert str(caught.value) == (
        f"'a' is on port 7 of 'switch', which no zone of {config} has: "
        "add it there, or give another configuration by -c"
    )


def test_a_VLAN_is_of_the_zone_or_not(config: Path) -> None:
    fit.check(lab("  a: {port: 3, vlan: 20, address: 10.0.20.2/24}\n"), {"switch": config})
    for hosts in (
        "  a: {port: 3, address: 10.0.20.2/24}\n",
        "  a: {port: 3, vlan: 21, address: 10.0.20.2/24}\n",
    ):
        with pytest.raises(UsageError, match="which no zone of"):
            fit.check(lab(hosts), {"switch": config})


def test_a_trunk_needs_a_zone_at_either_end(config: Path) -> None:
    text = (
        "name: t\nswitches: [left, right]\ntrunks: [['left:9', 'right:2']]\n"
        "hosts:\n  a: {switch: left, port: 1, address: 10.0.0.2/24}\n"
    )
    both = topology.from_item(parse(text, "t.yaml"))
    with pytest.raises(UsageError, match="'right' is on port 9 of 'left'"):
        fit.check(both, {"left": config})
    fit.check(both, {"right": config})


def test_a_configuration_for_a_switch_that_there_is_not_is_refused(config: Path) -> None:
    with pytest.raises(UsageError, match=r"no switch 's9' in 't' \(switches: switch\)"):
        fit.check(lab("  a: {port: 1, address: 10.0.0.2/24}\n"), {"s9": config})


def test_a_configuration_without_zones_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("nat: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="'zones' is missing"):
        fit.check(lab("  a: {port: 1, address: 10.0.0.2/24}\n"), {"switch": path})
