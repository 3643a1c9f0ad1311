"""Repeats what a sender repeats, and acknowledges what its receiver does not have yet.

The gateway has no retransmission timer. When a sender repeats bytes, the gateway repeats what
it made of them; so whatever is lost on the way to the receiver, its sender must go on
repeating something. Two rules see to that. The last byte of a message is acknowledged by its
receiver only, never early by the gateway. And held bytes are acknowledged early only when the
receiver has everything before them, since an acknowledgement covers all that came before.
"""

from __future__ import annotations

from p4alg.packet.tcp import ACK
from p4alg.stream.connection import Connection
from p4alg.stream.direction import Direction
from p4alg.stream.history import Chunk
from p4alg.stream.segments import data_segments, empty_segment
from p4alg.stream.state import DirectionState


def acknowledge_held(
    connection: Connection, direction: Direction, *, repeated: bool = False
) -> None:
    """Acknowledge the held bytes to their sender, so that it sends the rest of the message.

    Done if the receiver has everything before them. Either it said so, or the sender has just
    `repeated` the held bytes and nothing before them: since TCP repeats from the first byte
    that is not acknowledged, it has got an acknowledgement of everything before them.
    """
    if connection.state.blocked or connection.state.is_reset or not direction.held:
        return
    if direction.acked >= direction.next_in or repeated:
        is_new = direction.received > direction.acked_early
        if is_new:
            direction.acked_early = direction.received
        if is_new or repeated:
            connection.send_acknowledgement(direction)


def repeat(
    connection: Connection, direction: Direction, start: int, end: int, payload: bytes
) -> None:
    """The sender repeated in offsets `start` to `end`: repeat what was sent on of them.

    `payload` is what it sent from `start` on. `end` counts its FIN, if it repeated that.
    """
    # It may repeat because it has not got the answer that acknowledges what it sent.
    connection.send_chunks(direction.reverse, direction.reverse.history.answers)
    if start >= direction.next_in:
        acknowledge_held(connection, direction, repeated=True)
    limit = direction.next_in
    if connection.state.directions[direction.peer] is DirectionState.FINISHED:
        limit += 1
    waiting = connection.waiting
    if waiting is not None and waiting.direction is direction:
        # The message that waits for its tables must not leave as a repetition.
        limit = min(limit, waiting.chunk.start)
    end = min(end, limit)
    if start >= end:
        return
    if _may_miss_more(direction):
        chunks = direction.history.overlapping(min(start, direction.acked), limit)
        remembered_from = chunks[0].start if chunks else limit
    else:
        chunks = direction.history.overlapping(start, end)
        remembered_from = chunks[0].start if chunks else end
    forgotten_to = min(remembered_from, end)
    if start < forgotten_to:
        _repeat_forgotten(connection, direction, start, forgotten_to, payload)
    connection.send_chunks(direction, chunks)


def _may_miss_more(direction: Direction) -> bool:
    """Whether the receiver may lack bytes that their sender will not repeat.

    That is so for bytes that were acknowledged early. It is so, too, while resized messages
    are under way. The switch corrects acknowledgements by two shifts only, one from before and
    one from after the latest resized message; with more such messages under way, a corrected
    number can be some bytes too high. Even then it does not reach the last byte of the latest
    message. So the sender repeats that byte at least, and the gateway uses the occasion to
    repeat everything that the receiver is not known to have.
    """
    return (
        direction.history.resized_after(direction.acked) or direction.acked_early > direction.acked
    )


def _repeat_forgotten(
    connection: Connection, direction: Direction, start: int, end: int, payload: bytes
) -> None:
    """The sender repeated bytes that the history does not have any more."""
    if end <= direction.acked:
        # The receiver has them; only its acknowledgement was lost. It answers a segment from
        # before its window with a new one (RFC 9293 section 3.10.7.4).
        connection.send([empty_segment(direction, ACK, direction.next_out - 1)])
        return
    shift = direction.history.shift_at(start)
    chunk = Chunk(start, end, start + shift, payload[: end - start])
    connection.send(data_segments(direction, [chunk]))
