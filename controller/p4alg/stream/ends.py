"""How a followed connection ends: by FIN, by a reset, or because the ALG steps aside."""

from __future__ import annotations

from p4alg.packet.ipv4 import Ipv4
from p4alg.packet.tcp import ACK, RST, Tcp, replace_tcp
from p4alg.stream.acceptance import challenge, is_exact
from p4alg.stream.connection import Connection
from p4alg.stream.direction import Direction
from p4alg.stream.effects import Closed, Detached
from p4alg.stream.history import Chunk
from p4alg.stream.numbers import wire
from p4alg.stream.segments import Segment, empty_segment
from p4alg.stream.state import DirectionEvent, ReadingEvent


def finish(connection: Connection, direction: Direction, chunks: list[Chunk]) -> None:
    """Add the FIN to `chunks`; everything before it has come.

    A message that is still incomplete will stay so, and goes on with the FIN as it is.
    """
    data = bytes(direction.held)
    chunk = direction.release(len(data), data, edited=False, fin=True)
    direction.history.add(chunk)
    chunks.append(chunk)
    connection.state.happened(direction.peer, DirectionEvent.FIN_SENT)


def reset_by_end(
    connection: Connection,
    direction: Direction,
    port: int,
    packet: Ipv4,
    tcp: Tcp,
    now: float,
) -> None:
    """The direction's sender sent an RST: if it has the exact number, send it on and close.

    Otherwise it is dropped, and its sender challenged.
    """
    reverse = direction.reverse
    if not is_exact(direction, tcp):
        connection.drop("inexact-reset")
        challenge(connection, direction, now)
        return
    # What it acknowledges is converted only, and not believed. Its own number becomes the
    # one that the receiver expects, which does not know of the bytes that are held here.
    acked = reverse.acknowledged_to(tcp.ack) if tcp.flags & ACK else 0
    frame = replace_tcp(
        packet,
        seq=direction.out_number(direction.next_out),
        ack=wire(reverse.isn, max(acked, reverse.acked_early)),
        flags=tcp.flags,
        payload=b"",
    )
    connection.send([Segment(port, frame)])
    _close(connection, direction, "reset")


def reset_both(connection: Connection, direction: Direction, reason: str) -> None:
    """Reset both ends, because of what the direction's sender sent."""
    reverse = direction.reverse
    # The RST to the sender acknowledges all that it sent, or it might not be heeded.
    direction.acked_early = max(direction.acked_early, direction.received)
    connection.send(
        [
            empty_segment(direction, RST | ACK, direction.next_out),
            empty_segment(reverse, RST | ACK, reverse.next_out),
        ]
    )
    _close(connection, direction, reason)


def step_aside(connection: Connection, reason: str, *, is_error: bool) -> None:
    """Nothing is read from now on. Held bytes go on as they are, unless a message waits."""
    connection.state.reading_happened(ReadingEvent.STEP_ASIDE)
    connection.effects.append(Detached(reason, is_error))
    for direction in connection.directions.values():
        direction.steps.clear()
        if direction.held and not connection.state.blocked:
            chunk = connection.release(direction, len(direction.held))
            connection.send_chunks(direction, [chunk])


def _close(connection: Connection, direction: Direction, reason: str) -> None:
    """The connection is over; reported once, however often an end repeats its RST."""
    if not connection.state.is_reset:
        connection.effects.append(Closed(reason))
    connection.state.happened(direction.peer, DirectionEvent.RST)
