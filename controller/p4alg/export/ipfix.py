"""NAT events as IPFIX messages (RFC 7011, RFC 8158): events in, datagrams out, no I/O.

Two kinds of record, each with its template: a session, and a block of ports. An organisation is
its number in the configuration's order, in `ingressVRFID`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from scapy.layers.netflow import (
    NetflowDataflowsetV9,
    NetflowFlowsetV9,
    NetflowHeader,
    NetflowHeaderV10,
    NetflowRecordV9,
    NetflowTemplateFieldV9,
    NetflowTemplateV9,
)
from scapy.packet import Packet

SESSION_CREATED, SESSION_DELETED = 4, 5
BLOCK_TAKEN, BLOCK_GIVEN_BACK = 16, 17
"""Values of `natEvent` (RFC 8158 section 5.2)."""
TEMPLATE_SECONDS = 60.0
"""UDP may lose templates, so they are sent again so often (RFC 7011 section 8.4)."""
MAX_MESSAGE = 1400
"""The most bytes of a message: it shall not be fragmented (RFC 7011 section 10.3.3)."""

_TEMPLATE_SET = 2
_VERSION = 10
# Information elements (the IANA registry "IPFIX Information Elements"), and their lengths.
_TIME, _VRF, _EVENT, _PROTOCOL = (323, 8), (234, 4), (230, 1), (4, 1)
_INSIDE, _OUTSIDE, _REMOTE = (8, 4), (225, 4), (12, 4)
_INSIDE_PORT, _OUTSIDE_PORT, _REMOTE_PORT = (7, 2), (227, 2), (11, 2)
_FIRST_PORT, _LAST_PORT = (361, 2), (362, 2)
_HEADER, _SET_HEADER, _PADDING = 16, 4, 3
"""Bytes of the header of a message and of a set, and the most that pads a set."""


@dataclass(frozen=True, slots=True)
class Session:
    """A flow begins or ends. `time` is in seconds since 1970; ports are 0 where there are none."""

    TEMPLATE = 256
    FIELDS = (
        *(_TIME, _VRF, _EVENT, _PROTOCOL, _INSIDE, _OUTSIDE),
        *(_INSIDE_PORT, _OUTSIDE_PORT, _REMOTE, _REMOTE_PORT),
    )

    time: float
    organisation: int
    event: int
    protocol: int
    inside: tuple[IPv4Address, int]
    outside: tuple[IPv4Address, int]
    remote: tuple[IPv4Address, int]

    def encode(self) -> bytes:
        """Its values, in the order of `FIELDS`."""
        (inside, inside_port), (outside, outside_port) = self.inside, self.outside
        return (
            struct.pack(
                "!QIBB", round(self.time * 1000), self.organisation, self.event, self.protocol
            )
            + inside.packed
            + outside.packed
            + struct.pack("!HH", inside_port, outside_port)
            + self.remote[0].packed
            + struct.pack("!H", self.remote[1])
        )


@dataclass(frozen=True, slots=True)
class Block:
    """A host takes a block of outside ports or gives it back; `first` and `last` are of it."""

    TEMPLATE = 257
    FIELDS = (_TIME, _VRF, _EVENT, _INSIDE, _OUTSIDE, _FIRST_PORT, _LAST_PORT)

    time: float
    organisation: int
    event: int
    inside: IPv4Address
    outside: IPv4Address
    first: int
    last: int

    def encode(self) -> bytes:
        """Its values, in the order of `FIELDS`."""
        return (
            struct.pack("!QIB", round(self.time * 1000), self.organisation, self.event)
            + self.inside.packed
            + self.outside.packed
            + struct.pack("!HH", self.first, self.last)
        )


Record = Session | Block


class Messages:
    """Makes the messages of one exporting process for one collector.

    `domain` is the observation domain: it tells gateways apart that send to one collector.
    """

    def __init__(self, domain: int) -> None:
        self._domain = domain
        self._sent = 0
        self._templates_at = float("-inf")

    def of(self, records: Sequence[Record], now: float) -> list[bytes]:
        """The messages that tell of records, at `now` in seconds since 1970.

        The first one has the templates, if those are due.
        """
        found: list[bytes] = []
        if now >= self._templates_at + TEMPLATE_SECONDS:
            self._templates_at = now
            found.append(self._message(_templates(), 0, now))
        for kind in (Session, Block):
            mine = [record.encode() for record in records if isinstance(record, kind)]
            size = sum(length for _, length in kind.FIELDS)
            most = (MAX_MESSAGE - _HEADER - _SET_HEADER - _PADDING) // size
            for start in range(0, len(mine), most):
                some = mine[start : start + most]
                found.append(self._message(_data(kind.TEMPLATE, some), len(some), now))
        return found

    def _message(self, body: Packet, records: int, now: float) -> bytes:
        content = bytes(body)
        header = NetflowHeaderV10(
            # Left to scapy it would not count the version.
            length=_HEADER + len(content),
            # The number of data records that were sent before (RFC 7011 section 3.1).
            ExportTime=int(now),
            flowSequence=self._sent % 2**32,
            ObservationDomainID=self._domain,
        )
        self._sent += records
        return bytes(NetflowHeader(version=_VERSION) / header) + content


def _templates() -> NetflowFlowsetV9:
    return NetflowFlowsetV9(
        flowSetID=_TEMPLATE_SET,
        templates=[
            NetflowTemplateV9(
                templateID=kind.TEMPLATE,
                template_fields=[
                    NetflowTemplateFieldV9(  # type: ignore[no-untyped-call]
                        fieldType=element, fieldLength=length
                    )
                    for element, length in kind.FIELDS
                ],
            )
            for kind in (Session, Block)
        ],
    )


def _data(template: int, records: Iterable[bytes]) -> NetflowDataflowsetV9:
    return NetflowDataflowsetV9(
        templateID=template, records=[NetflowRecordV9(fieldValue=record) for record in records]
    )
