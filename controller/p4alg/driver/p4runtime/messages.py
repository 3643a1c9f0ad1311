"""Converts the messages of a P4Runtime stream to engine events, and engine packets to messages.

Pure. A message that the program cannot have sent raises ValueError or KeyError.
"""

from __future__ import annotations

from typing import Any

import finsy as fy

from p4alg.driver.p4runtime import codec
from p4alg.driver.p4runtime.preparation import PINHOLE_HIT
from p4alg.engine import events as ev
from p4alg.engine.actions import PacketOut
from p4alg.p4constants import PacketOutFlags


def packet_in(packet: fy.P4PacketIn) -> ev.PacketIn:
    """A punted packet."""
    meta = packet.metadata
    return ev.PacketIn(
        port=meta["ingress_port"],
        reason=ev.Reason(meta["reason"]),
        alg_id=meta["alg_id"],
        hairpin=bool(meta["hairpin"]),
        frame=packet.payload,
        mapped_id=meta["mapped_id"],
    )


def packet_out(packet: PacketOut) -> fy.P4PacketOut:
    """A packet to send."""
    if packet.egress_port is not None:
        return fy.P4PacketOut(packet.frame, port=packet.egress_port, flags=0)
    flags = PacketOutFlags.PIPELINE
    if packet.sequence_is_final:
        flags |= PacketOutFlags.SEQUENCE_FINAL
    if packet.hairpin:
        flags |= PacketOutFlags.HAIRPIN
    if packet.begin:
        flags |= PacketOutFlags.BEGIN
    if packet.late:
        flags |= PacketOutFlags.LATE
    return fy.P4PacketOut(packet.frame, port=packet.ingress_port, flags=int(flags))


def digest(name: str, fields: dict[str, Any]) -> ev.TcpEvent | ev.PinholeHit:
    """One digest, of a list of digests with this name."""
    plain = codec.plain(fields)
    flow = codec.decode_flow(plain)
    if name == PINHOLE_HIT:
        return ev.PinholeHit(flow, plain["pinhole_id"])
    return ev.TcpEvent(flow, plain["flags"], bool(plain["outbound"]), bool(plain["established"]))
