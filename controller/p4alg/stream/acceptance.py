"""Which segments are believed (RFC 9293 section 3.10.7.4, RFC 5961).

Whoever does not see a connection can still send segments in an end's name. To be believed, a
segment has to carry numbers that only the two ends know. What is not believed is dropped. Where
an honest end may have sent it all the same, that end is sent a challenge: an acknowledgement
of what the other end expects, which it answers with the right number.
"""

from __future__ import annotations

from p4alg.packet.tcp import ACK, Tcp
from p4alg.stream.connection import Connection
from p4alg.stream.direction import Direction
from p4alg.stream.numbers import offset_of
from p4alg.stream.reassembly import MAX_AHEAD

MAX_CHALLENGES = 10
"""The most challenges of one connection in `CHALLENGE_WINDOW` (RFC 5961 section 7)."""
CHALLENGE_WINDOW = 5.0
"""Seconds."""


def ack_objection(direction: Direction, tcp: Tcp) -> str:
    """Why a segment of an open connection is not believed for its acknowledgement, or "".

    Every segment behind the handshake has one. It covers nothing that was not sent, and is not
    older than a window (RFC 5961 section 5.2).
    """
    if not tcp.flags & ACK:
        return "no-ack"
    reverse = direction.reverse
    out = offset_of(reverse.isn, tcp.ack, reverse.next_out)
    oldest = max(1, reverse.acked_out - MAX_AHEAD)
    return "" if oldest <= out <= reverse.next_out else "bad-ack"


def answers_syn(direction: Direction, tcp: Tcp) -> bool:
    """Whether a SYN is the answer to the SYN of the other end."""
    return bool(tcp.flags & ACK) and offset_of(direction.reverse.isn, tcp.ack, 1) == 1


def refuses_syn(direction: Direction, tcp: Tcp) -> bool:
    """Whether an RST before the end of the handshake is believed (RFC 9293 section 3.10.7.3).

    It has to answer the other end's SYN, or follow its sender's own. Without any SYN nothing is
    known that it could be judged by.
    """
    if direction.model is not None:
        return direction.offset(tcp.seq) in (0, 1)
    return direction.reverse.model is None or answers_syn(direction, tcp)


def is_exact(direction: Direction, tcp: Tcp) -> bool:
    """Whether an RST has the next number that its receiver expects (RFC 5961 section 3.2).

    That is the number behind all that its sender has sent. An end that knows nothing of the
    connection repeats the number that was last acknowledged to it.
    """
    sent = direction.received + (direction.fin is not None)
    acknowledged = max(direction.acked, direction.acked_early)
    return direction.offset(tcp.seq) in (sent, acknowledged)


def window(direction: Direction) -> int:
    """How many bytes beyond the next one are accepted: at most what their receiver takes."""
    return min(direction.reverse.window, MAX_AHEAD)


def challenge(connection: Connection, direction: Direction, now: float) -> None:
    """Acknowledge to the direction's sender what is expected of it, unless done too often."""
    if connection.state.is_reset or direction.reverse.model is None:
        return
    if not 0 <= now - connection.challenged_since < CHALLENGE_WINDOW:
        connection.challenged_since, connection.challenges = now, 0
    if connection.challenges < MAX_CHALLENGES:
        connection.challenges += 1
        connection.send_acknowledgement(direction)
