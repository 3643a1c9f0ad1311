"""Port specifications as given on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MAX_PORT = 510


@dataclass(frozen=True, slots=True)
class InterfaceSpec:
    """`PORT@IFACE`."""

    port: int
    interface: str


@dataclass(frozen=True, slots=True)
class PcapSpec:
    """`PORT@file:IN.pcap,OUT.pcap`; either file may be left empty."""

    port: int
    input: Path | None
    output: Path | None


PortSpec = InterfaceSpec | PcapSpec


def parse_port(text: str) -> PortSpec:
    """Read a port specification; ValueError with one line of help if it is wrong."""
    number, at, rest = text.partition("@")
    if not at or not number.isdecimal() or not rest:
        raise ValueError(f"'{text}': a port is PORT@IFACE or PORT@file:IN.pcap,OUT.pcap")
    port = int(number)
    if not 0 <= port <= MAX_PORT:
        raise ValueError(f"'{text}': port number is not in 0..{MAX_PORT}")
    if rest.startswith("file:"):
        source, comma, sink = rest.removeprefix("file:").partition(",")
        if not comma or not (source or sink):
            raise ValueError(f"'{text}': files are given as file:IN.pcap,OUT.pcap")
        return PcapSpec(port, Path(source) if source else None, Path(sink) if sink else None)
    if len(rest) > 15 or "/" in rest or any(c.isspace() for c in rest):
        raise ValueError(f"'{text}': '{rest}' cannot be the name of an interface")
    return InterfaceSpec(port, rest)
