"""The header of IKE messages (RFC 2408 and 7296 section 3.1; RFC 3948 on port 4500)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from struct import Struct

_FIELDS = Struct(">QQ4B2I")
_HEADER = _FIELDS.size
_MARKER = bytes(4)
_KEEPALIVE = b"\xff"
_NAMES = {
    2: "main mode",
    4: "aggressive mode",
    5: "informational",
    6: "transaction",
    32: "quick mode",
    34: "IKE_SA_INIT",
    35: "IKE_AUTH",
    36: "CREATE_CHILD_SA",
    37: "INFORMATIONAL",
}
_TYPES = {1: frozenset((*range(1, 34), *range(240, 256))), 2: frozenset(range(34, 256))}
_BEGINNINGS = (1, 2, 3, 4, 5, 34, 38)
"""Exchange types whose first message has no responder SPI; 38 is IKE_SESSION_RESUME
(RFC 5723)."""


@dataclass(frozen=True, slots=True)
class IkeHeader:
    """The fields of RFC 2408 section 3.1 and RFC 7296 section 3.1; SPIs are 64-bit integers."""

    initiator_spi: int
    responder_spi: int
    next_payload: int
    major: int
    minor: int
    exchange_type: int
    flags: int
    message_id: int
    length: int

    def __str__(self) -> str:
        kind = _NAMES.get(self.exchange_type, f"exchange type {self.exchange_type}")
        return f"IKEv{self.major} {kind}, initiator SPI {self.initiator_spi:016x}"


@dataclass(frozen=True, slots=True)
class Malformed:
    """A datagram that is no IKE message; `reason` is a countable word."""

    reason: str


def read_header(data: bytes) -> IkeHeader | Malformed:
    """Read the header of the IKE message `data`, which has no non-ESP marker before it.

    Reasons: ``truncated``, ``bad-version`` (a major version other than 1 and 2),
    ``zero-spi``, ``bad-length``, ``bad-exchange`` (a type the version does not have),
    ``zero-responder-spi`` (in a message that only follows an answer).
    """
    if len(data) < _HEADER:
        return Malformed("truncated")
    initiator, responder, payload, version, kind, flags, message_id, length = _FIELDS.unpack_from(
        data
    )
    header = IkeHeader(
        initiator, responder, payload, version >> 4, version & 15, kind, flags, message_id, length
    )
    if header.major not in _TYPES:
        return Malformed("bad-version")
    if initiator == 0:
        return Malformed("zero-spi")
    if length != len(data):
        # Bytes behind the message, or a message cut short: no peer should have to guess.
        return Malformed("bad-length")
    if kind not in _TYPES[header.major]:
        return Malformed("bad-exchange")
    if responder == 0 and kind not in _BEGINNINGS:
        return Malformed("zero-responder-spi")
    return header


class Natt(Enum):
    """What a datagram on port 4500 can be besides IKE (RFC 3948 section 2)."""

    ESP = "esp"
    KEEPALIVE = "keepalive"


def read_natt(data: bytes) -> IkeHeader | Natt | Malformed:
    """Read a datagram of port 4500, where four zero bytes (the non-ESP marker) precede IKE."""
    if data[:4] == _MARKER:
        return read_header(data[4:])
    if data == _KEEPALIVE:
        return Natt.KEEPALIVE
    # An ESP packet has at least an SPI and a sequence number.
    return Natt.ESP if len(data) >= 8 else Malformed("truncated")
