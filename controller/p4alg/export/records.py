"""Makes records for collectors of the events that a controller tells (`p4alg events --json`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address
from typing import Any

from p4alg.export.ipfix import (
    BLOCK_GIVEN_BACK,
    BLOCK_TAKEN,
    SESSION_CREATED,
    SESSION_DELETED,
    Block,
    Record,
    Session,
)
from p4alg.protocols import NUMBERS, PORTED

_SESSION = {"opened": SESSION_CREATED, "ended": SESSION_DELETED}
_BLOCK = {"taken": BLOCK_TAKEN, "returned": BLOCK_GIVEN_BACK}
_PORTS = re.compile(r"ports (\d+)-(\d+)")


def record_of(event: Mapping[str, Any], organisations: Sequence[str]) -> Record | None:
    """The record that tells of an event; None if RFC 8158 has no such record.

    `organisations` are the names of all, in the order of the configuration. Raises KeyError or
    ValueError for what is not an event of this version of p4alg.
    """
    name = event["organisation"]
    number = organisations.index(name) if name else 0
    time = datetime.fromisoformat(event["time"]).timestamp()
    if event["kind"] == "block":
        ports = _PORTS.match(event["text"])
        if ports is None:
            raise ValueError(f"no ports in '{event['text']}'")
        host, pool = IPv4Address(event["inside"]), IPv4Address(event["outside"])
        first, last = int(ports[1]), int(ports[2])
        return Block(time, number, _BLOCK[event["event"]], host, pool, first, last)
    if event["kind"] != "session" or event["event"] not in _SESSION:
        return None
    protocol = event["proto"]
    inside, outside, remote = (
        _end(event[name], protocol in PORTED) for name in ("inside", "outside", "remote")
    )
    kind, number_of = _SESSION[event["event"]], NUMBERS[protocol]
    return Session(time, number, kind, number_of, inside, outside, remote)


def _end(text: str, has_ports: bool) -> tuple[IPv4Address, int]:
    """Address and port of an end. Identifiers that are no ports have no field: 0 for them."""
    address, _, port = text.partition(":")
    return IPv4Address(address), int(port) if has_ports else 0
