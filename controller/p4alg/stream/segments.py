"""Builds the TCP segments that the gateway sends on, or sends in an end's name."""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.packet.tcp import ACK, FIN, PSH, replace_tcp
from p4alg.stream.direction import Direction
from p4alg.stream.history import Chunk

MAX_MSS = 1460
"""Most bytes of data in a segment, whatever its receiver takes."""
_MAX_URGENT = 0xFFFF


@dataclass(frozen=True, slots=True)
class Segment:
    """A frame to emit at switch port `port`, with final sequence numbers."""

    port: int
    frame: bytes


def data_segments(direction: Direction, chunks: list[Chunk]) -> list[Segment]:
    """Segments that carry these chunks from the direction's sender to its receiver.

    Chunks that follow each other share segments. No segment is larger than the receiver takes.
    """
    assert direction.model is not None
    ack = direction.ack_number
    limit = min(direction.reverse.mss, MAX_MSS)
    found: list[Segment] = []
    for start, data, fin in _joined(chunks):
        at = 0
        while True:
            part = data[at : at + limit]
            out = start + at
            at += len(part)
            last = at >= len(data)
            flags = ACK | (PSH if last and part else 0) | (FIN if last and fin else 0)
            frame = replace_tcp(
                direction.model,
                seq=direction.out_number(out),
                ack=ack,
                flags=flags,
                payload=part,
                urgent=_urgent_pointer(direction, out),
            )
            found.append(Segment(direction.port, frame))
            if last:
                break
    return found


def empty_segment(direction: Direction, flags: int, out: int) -> Segment:
    """A segment without data, from the direction's sender to its receiver.

    `out` is the out offset that becomes its sequence number.
    """
    assert direction.model is not None
    frame = replace_tcp(
        direction.model,
        seq=direction.out_number(out),
        ack=direction.ack_number,
        flags=flags,
        payload=b"",
    )
    return Segment(direction.port, frame)


def _joined(chunks: list[Chunk]) -> list[tuple[int, bytes, bool]]:
    """Out offset, data and FIN of what the chunks carry, with those that are adjacent joined."""
    joined: list[tuple[int, bytes, bool]] = []
    for chunk in chunks:
        if not chunk.data and not chunk.fin:
            continue
        if joined:
            start, data, _ = joined[-1]
            if start + len(data) == chunk.out_start:
                joined[-1] = (start, data + chunk.data, chunk.fin)
                continue
        joined.append((chunk.out_start, chunk.data, chunk.fin))
    return joined


def _urgent_pointer(direction: Direction, out: int) -> int:
    """The urgent pointer of a segment at the out offset `out`; 0 if no urgent data follows."""
    if not direction.urgent:
        return 0
    distance = direction.urgent + direction.history.shift_at(direction.urgent) - out
    return distance if 0 < distance <= _MAX_URGENT else 0
