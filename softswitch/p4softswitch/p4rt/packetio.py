"""Packet-in and packet-out: a controller header on the wire is metadata in the message."""

from __future__ import annotations

from typing import Any

from p4softswitch.p4rt import bytestring
from p4softswitch.p4rt.codes import INVALID_ARGUMENT, RpcError
from p4softswitch.p4rt.proto import p4r

Metadata = tuple[tuple[int, int], ...]
MAX_PACKET = 65535


def packet_in(frame: bytes, metadata: Metadata | None) -> Any | None:
    """The message for a frame sent to the CPU port; None if it is shorter than its header."""
    message = p4r.PacketIn()
    if not metadata:
        message.payload = frame
        return message
    bits = sum(width for _, width in metadata)
    nbytes = (bits + 7) // 8
    if len(frame) < nbytes:
        return None
    header = int.from_bytes(frame[:nbytes], "big") >> (nbytes * 8 - bits)
    left = bits
    for number, width in metadata:
        left -= width
        value = (header >> left) & ((1 << width) - 1)
        message.metadata.add(metadata_id=number, value=bytestring.encode(value))
    message.payload = frame[nbytes:]
    return message


def packet_out(message: Any, metadata: Metadata | None) -> bytes:
    """The frame that enters the switch by the CPU port for a packet-out.

    Metadata that is left out is 0, as on BMv2. Raises INVALID_ARGUMENT for unknown ids, values
    that do not fit and packets that are too long.
    """
    if len(message.payload) > MAX_PACKET:
        raise RpcError(INVALID_ARGUMENT, f"packet-out is longer than {MAX_PACKET} bytes")
    known = {number for number, _ in metadata or ()}
    values: dict[int, bytes] = {}
    for item in message.metadata:
        if item.metadata_id not in known:
            raise RpcError(INVALID_ARGUMENT, f"packet-out has no metadata id {item.metadata_id}")
        values[item.metadata_id] = item.value
    header = bits = 0
    for number, width in metadata or ():
        value = 0
        if number in values:
            value = bytestring.decode(values[number], width, f"packet-out metadata {number}")
        header, bits = header << width | value, bits + width
    pad = -bits % 8
    return (header << pad).to_bytes((bits + pad) // 8, "big") + bytes(message.payload)
