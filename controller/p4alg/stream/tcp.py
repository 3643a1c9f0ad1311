"""Follows a TCP control connection for an ALG, whatever the network does to its segments (G5, G6).

Every segment with data, SYN, FIN or RST comes here. Acknowledgements without data stay in the
switch, which corrects their numbers by `shift`. The bytes of each end are put in order and
given to the ALG, which says what is sent on in their place. Only an incomplete message is
held.

The parts: `state` has the state tables, `connection` what all parts share, `messages` carries
out what the ALG decides, `repeats` deals with what a sender repeats, and `ends` with FIN, RST
and the ALG stepping aside. This module looks at each segment and calls them.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.alg.contract import Gateway, Peer, StreamAlg
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import Ipv4, parse_ipv4
from p4alg.packet.tcp import (
    FIN,
    RST,
    SYN,
    Tcp,
    is_intact,
    mss_option,
    parse_tcp,
    sanitised_syn,
    window_scale,
)
from p4alg.stream.acceptance import ack_objection, answers_syn, challenge, refuses_syn, window
from p4alg.stream.connection import Connection
from p4alg.stream.direction import DEFAULT_MSS, Direction
from p4alg.stream.effects import Detached, Effect, Shift
from p4alg.stream.ends import reset_by_end, step_aside
from p4alg.stream.messages import Messages
from p4alg.stream.numbers import wire
from p4alg.stream.reassembly import MAX_AHEAD
from p4alg.stream.repeats import repeat
from p4alg.stream.segments import Segment
from p4alg.stream.state import DirectionEvent, DirectionState, ReadingEvent

_MIN_MSS = 64
"""Bytes; what an end that announces a smaller maximum segment size is sent all the same."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds of one connection, and what a refused message does.

    `message` is the longest message, and `stream` what is kept for one direction in each place;
    both in bytes. A refused message resets the connection if `reset_on_refusal`, and else is
    sent on as it is.
    """

    message: int
    stream: int
    reset_on_refusal: bool = True


class StreamFollower:
    """One control connection, from its SYN to its end (see `effects.Follower`)."""

    def __init__(self, alg: StreamAlg, limits: StreamLimits) -> None:
        self._limits = limits
        self._connection = Connection(limits.stream)
        self._is_proved = False
        self._directions = self._connection.directions
        self._state = self._connection.state
        self._messages = Messages(
            self._connection,
            alg,
            longest=limits.message,
            reset_on_refusal=limits.reset_on_refusal,
        )

    # What the engine asks

    @property
    def resized(self) -> bool:
        """Whether some message changed its size, so that the switch has to correct numbers."""
        return self._messages.resized

    @property
    def blocked(self) -> bool:
        """Whether a message waits for `resume`."""
        return self._state.blocked

    @property
    def detached(self) -> bool:
        """Whether the ALG has stepped aside."""
        return self._state.detached

    @property
    def is_proved(self) -> bool:
        """Whether the client has acknowledged the server's SYN, which only it could see."""
        return self._is_proved

    @property
    def is_over(self) -> bool:
        """Whether the connection was reset or both ends have finished."""
        return self._state.is_over

    @property
    def may_leave_to_switch(self) -> bool:
        """Whether the switch alone can carry the rest.

        That is so when the ALG has stepped aside, nothing is kept here to be sent on, and no end
        may need a repetition of bytes that were acknowledged early to their sender, or of an
        answer in the other end's name.
        """
        return (
            self._state.detached
            and not self._state.blocked
            and all(
                not d.held
                and not d.reassembly.size
                and d.acked_early <= d.acked
                and not d.history.answers
                for d in self._directions.values()
            )
        )

    @property
    def bytes_held(self) -> int:
        """Bytes kept in both directions: held, out of order, and to be repeated if lost."""
        return sum(
            len(d.held) + d.reassembly.size + d.history.size for d in self._directions.values()
        )

    def shed(self) -> None:
        """Forget the bytes that came out of order: their sender sends them again."""
        for direction in self._directions.values():
            direction.reassembly.clear()

    def shift(self, sender: Peer) -> Shift:
        """The correction of numbers in what `sender` sends, as of its latest resized message."""
        direction = self._directions[sender]
        resize = direction.history.last_resize
        if resize is None:
            return Shift(0, 0, 0)
        # The position is the message's start, not its end. So an acknowledgement of a part of
        # it is never corrected to one of its last byte, which the sender has to go on repeating.
        return Shift(wire(direction.isn, resize.start), resize.before, resize.after)

    # What happens

    def packet(
        self, sender: Peer, port: int, frame: bytes, gateway: Gateway, now: float
    ) -> list[Effect]:
        """A frame of `sender` arrived at switch port `port`. Never raises on any frame."""
        try:
            packet = parse_ipv4(frame)
            tcp = parse_tcp(packet)
        except PacketError:
            self._connection.drop("malformed")
            return self._connection.take()
        if not is_intact(packet):
            # What is sent on gets a right checksum, and so damage or forgery would be mended.
            self._connection.drop("bad-checksum")
            return self._connection.take()
        direction = self._directions[sender]
        event = self._event_of(direction, tcp)
        if not self._state.allows(sender, event):
            self._not_allowed(direction, event, port, packet, tcp, now)
        elif event is DirectionEvent.DATA:
            self._data(direction, port, packet, tcp, gateway, now)
        elif event is DirectionEvent.RST:
            reset_by_end(self._connection, direction, port, packet, tcp, now)
        else:
            self._syn(direction, event, port, packet, tcp)
        return self._connection.take()

    def resume(self, ok: bool, gateway: Gateway, now: float) -> list[Effect]:
        """The tables of the message that waits were written; if not `ok`, they were not."""
        waiting = self._connection.waiting
        if waiting is None:
            return []
        self._messages.stop_waiting(ok)
        for direction in (waiting.direction, waiting.direction.reverse):
            self._messages.advance(direction, gateway, now)
        return self._connection.take()

    def detach(self, reason: str, now: float) -> list[Effect]:
        """Stop reading; held bytes go on as they are."""
        if self._state.reading_allows(ReadingEvent.STEP_ASIDE) and not self._state.is_reset:
            step_aside(self._connection, reason, is_error=False)
        return self._connection.take()

    # Segments

    @property
    def _is_opening(self) -> bool:
        """Whether a SYN was seen, but not the other end's."""
        states = self._state.directions.values()
        return DirectionState.SYN_SEEN in states and DirectionState.UNSEEN in states

    def _event_of(self, direction: Direction, tcp: Tcp) -> DirectionEvent:
        """Which event a segment is. Whether a FIN or RST is believed is asked later."""
        if not tcp.flags & SYN:
            return DirectionEvent.RST if tcp.flags & RST else DirectionEvent.DATA
        if tcp.flags & (RST | FIN):
            return DirectionEvent.BAD_SYN
        is_first = self._state.directions[direction.peer] is DirectionState.UNSEEN
        if is_first or tcp.seq != direction.isn:
            return DirectionEvent.SYN
        return DirectionEvent.SYN_AGAIN

    def _not_allowed(
        self,
        direction: Direction,
        event: DirectionEvent,
        port: int,
        packet: Ipv4,
        tcp: Tcp,
        now: float,
    ) -> None:
        """A segment came that the state of its direction has no place for."""
        if event not in (DirectionEvent.DATA, DirectionEvent.RST):
            self._connection.drop("unexpected-syn")
            # An end that has begun anew answers this with an RST (RFC 5961 section 4.2).
            challenge(self._connection, direction, now)
        elif event is DirectionEvent.RST and not refuses_syn(direction, tcp):
            self._connection.drop("inexact-reset")
        elif event is DirectionEvent.DATA and self._is_opening:
            # Nobody sends data before the SYN of the other end, which would be seen here.
            self._connection.drop("no-handshake")
        elif not self._state.is_reset:
            # The beginning of the connection was not seen, so its bytes cannot be numbered: they
            # pass, and are never guessed at (G5).
            if self._state.reading_allows(ReadingEvent.STEP_ASIDE):
                self._state.reading_happened(ReadingEvent.STEP_ASIDE)
                self._connection.effects.append(Detached("no-handshake", True))
            self._connection.send([Segment(port, packet.frame)])
        # Nothing comes after a reset: such a segment is ignored.

    def _syn(
        self, direction: Direction, event: DirectionEvent, port: int, packet: Ipv4, tcp: Tcp
    ) -> None:
        is_second = event is DirectionEvent.SYN and direction.reverse.model is not None
        if is_second and not answers_syn(direction, tcp):
            self._connection.drop("bad-ack")
            return
        if event is DirectionEvent.SYN:
            direction.begin(tcp.seq)
            direction.scale = window_scale(packet)
            direction.note_window(tcp.window, is_syn=True)
        self._state.happened(direction.peer, event)
        direction.mss = max(mss_option(packet) or DEFAULT_MSS, _MIN_MSS)
        direction.remember(port, packet)
        self._connection.send([Segment(port, sanitised_syn(packet))])

    def _data(
        self,
        direction: Direction,
        port: int,
        packet: Ipv4,
        tcp: Tcp,
        gateway: Gateway,
        now: float,
    ) -> None:
        """A segment with neither SYN nor RST: bytes, a FIN, or both; new, repeated or mixed."""
        reverse = direction.reverse
        start = direction.offset(tcp.seq)
        end = start + len(tcp.payload)
        has_fin = bool(tcp.flags & FIN)
        was_received = direction.received
        was_finished = self._state.directions[direction.peer] is DirectionState.FINISHED
        objection = ack_objection(direction, tcp)
        if not objection and not was_received - MAX_AHEAD <= end:
            objection = "out-of-window"
        if not objection and start > was_received + window(direction):
            objection = "out-of-window"
        if objection:
            self._connection.drop(objection)
            if objection != "no-ack":
                challenge(self._connection, direction, now)
            return
        if direction.peer is Peer.CLIENT:
            self._is_proved = True
        direction.remember(port, packet)
        direction.note_window(tcp.window, is_syn=False)
        reverse.acknowledge(tcp.ack)
        if tcp.urgent:
            direction.urgent = start + tcp.urgent
        self._accept(direction, start, tcp.payload)
        in_order = start <= was_received and end == direction.received
        if has_fin and in_order and self._state.allows(direction.peer, DirectionEvent.FIN):
            direction.fin = end
            self._state.happened(direction.peer, DirectionEvent.FIN)
        repeated_to = min(end + has_fin, was_received)
        if start < repeated_to or (has_fin and was_finished):
            last = end + 1 if has_fin else repeated_to
            repeat(self._connection, direction, start, last, tcp.payload)
        self._messages.advance(direction, gateway, now)
        if reverse.held:
            # What one end says may change what the ALG makes of the other's bytes. And the
            # segment may have acknowledged everything before those, so that they can be, too.
            self._messages.advance(reverse, gateway, now)

    def _accept(self, direction: Direction, start: int, payload: bytes) -> None:
        """Put the bytes from offset `start` on in order, and hold those that are next."""
        if len(direction.held) + len(payload) > self._limits.stream + self._limits.message:
            self._connection.drop("stream-limit")
            return
        if direction.fin is not None:
            # Nothing comes after a FIN.
            payload = payload[: max(0, direction.fin - start)]
        data, reason = direction.reassembly.add(start, payload, window(direction))
        direction.held += data
        if reason:
            self._connection.drop(reason)
