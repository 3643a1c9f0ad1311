"""Configurations: the example is read in full, every contradiction is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.config import loader
from p4alg.config.errors import ConfigError
from p4alg.config.source import parse

EXAMPLE = Path(__file__).parents[3] / "topologies" / "nat.config.yaml"
TEXT = EXAMPLE.read_text(encoding="utf-8")


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loader.from_item(parse(text, "c.yaml"))
    return str(caught.value)


def test_the_example_is_read_in_full() -> None:
    config = loader.read(EXAMPLE)
    assert [(z.name, z.side, z.ports, str(z.address), z.mtu) for z in config.zones] == [
        ("inside", "inside", (1, 2), "10.0.0.1/24", 1500),
        ("outside", "outside", (3, 4), "198.51.100.1/24", 1500),
    ]
    assert config.zones[0].mac == 0x020000010001
    assert [str(p) for p in config.pools] == ["203.0.113.0/28"]
    assert config.filtering == "address-and-port"
    assert [(a.name, a.enabled, a.services) for a in config.algs][:2] == [
        ("ftp", True, ("ftp", "ftp-alt")),
        ("sip", True, ("sip",)),
    ]
    assert [str(r) for r in config.services["ftp-alt"]] == ["tcp/2121"]


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("switch:", "swich:", 2, "unknown key 'swich'"),
        ("127.0.0.1:9559", "127.0.0.1", 2, "is not HOST:PORT"),
        ("ports: [1, 2]", "ports: [1, 1]", 4, "each port once"),
        ("ports: [3, 4]", "ports: [2, 4]", 5, "port 2 is in zone 'inside' already"),
        ("198.51.100.1/24", "10.0.0.9/16", 5, "overlaps zone 'inside'"),
        ("10.0.0.1/24", "10.0.0.0/24", 4, "is not a host address"),
        ("02:00:00:01:00:01", "01:00:00:01:00:01", 4, "is not a unicast MAC address"),
        ("side: outside", "side: inside", 4, "no zone is outside"),
        ("[203.0.113.0/28]", "[203.0.113.1/28]", 7, "has host bits set"),
        ("[203.0.113.0/28]", "[203.0.113.0/28, 203.0.113.8/29]", 7, "overlaps pool"),
        ("[203.0.113.0/28]", "[10.0.0.0/28]", 7, "overlaps inside zone"),
        ("[203.0.113.0/28]", "[198.51.100.0/28]", 7, "holds the gateway's own"),
        ("[203.0.113.0/28]", "[]", 7, "at least one pool"),
        ("filter: address-and-port", "filter: none", 8, "'none' is not one of"),
        ("filter:", "pools: []\n  filter:", 8, "'pools' is given twice"),
        ("tcp/2121", "tcp/70000", 11, "ports are 1..65535"),
        ("tcp/2121", "sctp/1", 11, "is not PROTOCOL/PORT"),
        ("ftp-alt: [", "sip: [", 11, "is predefined"),
        ("[ftp, ftp-alt]", "[ftp, ftp]", 13, "names a service twice"),
        ("[ftp, ftp-alt]", "[nosuch]", 13, "no service 'nosuch'"),
        ("[ftp, ftp-alt]", "[sip]", 13, "both claim"),
        ("tcp/2121", "tcp/1700-1800", 13, "both claim tcp/1723"),
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


def test_a_route_through_no_zone_is_refused() -> None:
    message = refusal(TEXT + "routes:\n  - {to: 0.0.0.0/0, via: 192.0.2.1}\n")
    assert "192.0.2.1 is in no zone's network" in message


@given(st.text(max_size=60))
def test_no_text_does_anything_but_be_refused(text: str) -> None:
    """Invariant: any input ends in a one-line ConfigError, never in another exception."""
    assert refusal(text)
