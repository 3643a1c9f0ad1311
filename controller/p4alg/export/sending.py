"""Follows the events of a controller and sends each to a collector, by UDP, until it ends."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from p4alg.config.errors import UsageError, UserError
from p4alg.daemon.client import Client
from p4alg.export.ipfix import Messages
from p4alg.export.records import record_of
from p4alg.printable import printable

PORT = 4739
"""The port of collectors (IANA, RFC 7011 section 10.3.4)."""


def collector(text: str) -> tuple[str, int]:
    """The collector that ``HOST[:PORT]`` names. Raises `UsageError` if that is none."""
    host, colon, port = text.partition(":")
    number = int(port) if port.isascii() and port.isdecimal() else 0
    if not host or (colon and not 0 < number < 65536):
        raise UsageError(f"'{text}' is not HOST or HOST:PORT")
    return host, number or PORT


def send(client: Client, to: tuple[str, int], domain: int) -> None:
    """Send until the controller ends or Ctrl-C. Raises `UserError` if that is not possible."""
    rows = client.call("show", what="algs")
    organisations = list(dict.fromkeys(row["organisation"] for row in rows))
    try:
        place = socket.getaddrinfo(*to, socket.AF_INET, socket.SOCK_DGRAM)[0][4]
    except OSError as error:
        raise UserError(f"{to[0]}: {error.strerror}") from None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect(place)
        print(f"p4alg: sending events to {to[0]}:{to[1]}", file=sys.stderr, flush=True)
        _send(client.follow("follow"), link, Messages(domain), organisations)


def _send(
    events: Iterable[Mapping[str, Any]],
    link: socket.socket,
    messages: Messages,
    organisations: list[str],
) -> None:
    is_heard = True
    for event in events:
        if "missed" in event:
            print(f"p4alg: {event['missed']} events were missed", file=sys.stderr)
        try:
            record = record_of(event, organisations)
        except (KeyError, ValueError) as error:
            why = printable(str(error))
            raise UserError(f"the controller runs another version of p4alg: {why}") from None
        if record is None:
            continue
        for message in messages.of([record], time.time()):
            try:
                link.send(message)
            except OSError as error:
                if is_heard:
                    print(f"p4alg: the collector: {error.strerror}; going on", file=sys.stderr)
                is_heard = False
            else:
                is_heard = True
