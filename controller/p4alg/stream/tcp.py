"""Follows a TCP control connection for an ALG, whatever becomes of its segments (G5, G6).

Every segment with data, SYN, FIN or RST comes here; pure acknowledgements stay
in the switch, which corrects their numbers by `shift`. Bytes go to the ALG in
order and go on as it decides. Only an incomplete message is held; its bytes are
acknowledged to their sender at once, so that it goes on sending. As a message's
last byte is never acknowledged by us, the sender's own retransmission makes us
repeat the whole message if it gets lost: no timer is needed here.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.alg.contract import (
    Detach,
    Forward,
    Gateway,
    Notice,
    Peer,
    Refuse,
    Step,
    StreamAlg,
    apply_edits,
)
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import Ipv4, parse_ipv4
from p4alg.packet.tcp import (
    ACK,
    FIN,
    RST,
    SYN,
    Tcp,
    mss_option,
    parse_tcp,
    replace_tcp,
    sanitised_syn,
)
from p4alg.stream.direction import (
    DEFAULT_MSS,
    Direction,
    Segment,
    empty_segment,
    remember,
    segments,
)
from p4alg.stream.effects import (
    Barrier,
    Closed,
    Detached,
    Dropped,
    Effect,
    Noticed,
    Seen,
    Send,
    Shift,
)
from p4alg.stream.history import Chunk, Level
from p4alg.stream.numbers import wire
from p4alg.stream.reassembly import MAX_AHEAD


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Longest message, and bytes kept for one direction; what a refusal does."""

    message: int
    stream: int
    reset_on_refusal: bool = True


@dataclass(frozen=True, slots=True)
class _Blocked:
    """A message whose tables are being written."""

    sender: Peer
    message: bytes
    chunk: Chunk
    step: Forward
    shift_before: int


class StreamFollower:
    """One control connection, from its SYN to its end."""

    def __init__(self, alg: StreamAlg, limits: StreamLimits) -> None:
        self._alg = alg
        self._limits = limits
        self._directions = {peer: Direction(limits.stream) for peer in Peer}
        self._blocked: _Blocked | None = None
        self._out: list[Effect] = []
        self._detached = False
        self._closed = False
        self._resized = False

    # What the engine asks

    @property
    def resized(self) -> bool:
        """Whether some message changed its size, so that the switch has to correct numbers."""
        return self._resized

    @property
    def blocked(self) -> bool:
        """Whether a message waits for `resume`."""
        return self._blocked is not None

    @property
    def detached(self) -> bool:
        """Whether the ALG has stepped aside."""
        return self._detached

    @property
    def is_over(self) -> bool:
        """Whether the connection was reset or both ends have finished."""
        return self._closed or all(d.finished for d in self._directions.values())

    @property
    def may_leave_to_switch(self) -> bool:
        """Whether nothing here is needed any more: all that goes on goes on as it is."""
        return (
            self._detached
            and not self.blocked
            and all(
                not d.held and not d.reassembly.size and d.promised <= d.acked
                for d in self._directions.values()
            )
        )

    @property
    def bytes_held(self) -> int:
        """Bytes kept in both directions, for whatever reason."""
        return sum(
            len(d.held) + d.reassembly.size + d.history.size for d in self._directions.values()
        )

    def shift(self, sender: Peer) -> Shift:
        """The correction of what `sender` sends, as of the latest message."""
        direction = self._directions[sender]
        level = direction.history.last_level
        if level is None or direction.isn is None:
            return Shift(0, 0, 0)
        # From the message's beginning: then an acknowledgement of a part of it is
        # never taken for one of its last byte.
        return Shift(wire(direction.isn, level.start), level.before, level.after)

    # What happens

    def packet(
        self, sender: Peer, port: int, frame: bytes, gateway: Gateway, now: float
    ) -> list[Effect]:
        """A frame of `sender` arrived at switch port `port`. Never raises on any frame."""
        try:
            packet = parse_ipv4(frame)
            tcp = parse_tcp(packet)
        except PacketError:
            self._out.append(Dropped("malformed"))
            return self._take()
        if tcp.flags & SYN:
            self._syn(sender, port, packet, tcp)
        elif self._directions[sender].isn is None or self._directions[sender.other].isn is None:
            self._not_followed(port, packet)
        elif tcp.flags & RST:
            self._reset(sender, port, packet, tcp)
        elif not self._closed:
            self._data(sender, port, packet, tcp, gateway, now)
        return self._take()

    def resume(self, ok: bool, gateway: Gateway, now: float) -> list[Effect]:
        """The tables of the message that waits are written, or could not be."""
        blocked, self._blocked = self._blocked, None
        if blocked is None or self._closed:
            return []
        direction = self._directions[blocked.sender]
        if ok:
            if not direction.history.add(blocked.chunk):
                self._out.append(Dropped("history-limit"))
        else:
            self._undo(direction, blocked)
        for peer in (blocked.sender, blocked.sender.other):
            self._advance(peer, gateway, now)
        return self._take()

    def detach(self, reason: str, now: float) -> list[Effect]:
        """Step aside from outside; held bytes go on as they are."""
        if not self._detached and not self._closed:
            self._detach(Detach(reason))
        return self._take()

    def _take(self) -> list[Effect]:
        effects, self._out = self._out, []
        return effects

    # Segments

    def _syn(self, sender: Peer, port: int, packet: Ipv4, tcp: Tcp) -> None:
        direction = self._directions[sender]
        if tcp.flags & (RST | FIN) or direction.isn not in (None, tcp.seq):
            self._out.append(Dropped("unexpected-syn"))
            return
        if direction.isn is None:
            direction.begin(tcp.seq)
        direction.mss = max(mss_option(packet) or DEFAULT_MSS, 64)
        clean = sanitised_syn(packet)
        remember(direction, port, packet, tcp)
        self._send([Segment(port, clean)])

    def _not_followed(self, port: int, packet: Ipv4) -> None:
        """Data of a connection whose beginning was not seen: passed, never guessed at (G5)."""
        if not self._detached:
            self._detached = True
            self._out.append(Detached("no-handshake", True))
        self._send([Segment(port, packet.frame)])

    def _reset(self, sender: Peer, port: int, packet: Ipv4, tcp: Tcp) -> None:
        direction, other = self._directions[sender], self._directions[sender.other]
        offset = direction.offset(tcp.seq)
        if direction.taken <= offset <= direction.received:
            # The peer must find exactly the number it expects (RFC 5961 section 3).
            out = direction.sent
        else:
            out = offset + direction.history.shift_at(offset)
        acked = other.acknowledge(tcp.ack) if tcp.flags & ACK else 0
        frame = replace_tcp(
            packet,
            seq=direction.out_number(out),
            ack=((other.isn or 0) + max(acked, other.promised)) % (1 << 32),
            flags=tcp.flags,
            payload=b"",
        )
        self._send([Segment(port, frame)])
        if not self._closed and direction.acked <= offset <= direction.received:
            self._closed = True
            self._out.append(Closed("reset"))

    def _data(
        self, sender: Peer, port: int, packet: Ipv4, tcp: Tcp, gateway: Gateway, now: float
    ) -> None:
        direction, other = self._directions[sender], self._directions[sender.other]
        start = direction.offset(tcp.seq)
        end = start + len(tcp.payload)
        if end < direction.received - MAX_AHEAD:
            self._out.append(Dropped("out-of-window"))
            return
        remember(direction, port, packet, tcp)
        if tcp.flags & ACK:
            direction.peer_acked = max(direction.peer_acked, other.acknowledge(tcp.ack))
        if tcp.urgent:
            direction.urgent = start + tcp.urgent
        in_window = direction.received <= end <= direction.received + MAX_AHEAD
        if tcp.flags & FIN and direction.fin is None and in_window:
            direction.fin = end
        repeated_to = min(end + (1 if tcp.flags & FIN else 0), direction.received)
        if len(direction.held) + len(tcp.payload) > self._limits.stream + self._limits.message:
            self._out.append(Dropped("stream-limit"))
        else:
            self._accept(direction, start, tcp.payload)
        if start < repeated_to or (tcp.flags & FIN and direction.finished):
            last = end + 1 if tcp.flags & FIN else repeated_to
            self._repeat(sender, start, last, tcp.payload)
        self._advance(sender, gateway, now)
        if other.held:
            # What one end says may change what the ALG makes of the other's bytes.
            self._advance(sender.other, gateway, now)
        self._promise(sender.other)
        self._barrier_last()

    def _accept(self, direction: Direction, start: int, payload: bytes) -> None:
        if direction.fin is not None:
            # Nothing comes after a FIN.
            payload = payload[: max(0, direction.fin - start)]
        data, reason = direction.reassembly.add(start, payload)
        direction.held += data
        if reason:
            self._out.append(Dropped(reason))

    def _repeat(self, sender: Peer, start: int, end: int, payload: bytes) -> None:
        """The sender repeats in offsets `start` to `end`: so do we, from what was sent on."""
        direction, other = self._directions[sender], self._directions[sender.other]
        if start >= direction.taken and direction.packet is not None:
            self._promise(sender, repeated=True)
        most = direction.taken + (1 if direction.finished else 0)
        if self._blocked is not None and self._blocked.sender is sender:
            # What waits for its tables must not leave by another way.
            most = min(most, self._blocked.chunk.start)
        end = min(end, most)
        if start >= end:
            return
        first, last = start, end
        if direction.history.edited_after(direction.acked) or direction.promised > direction.acked:
            # What was acknowledged to the sender it will not repeat, and with
            # more edits under way than the two shifts the switch knows it may
            # have acknowledged some bytes too many or too few. Neither goes as far
            # as the last byte of the latest message, so its sender does repeat, and
            # all that the peer is not known to have goes again: what the sender
            # repeats may be less, and be followed by a gap only we know of.
            start, end = min(start, direction.acked), most
        chunks = direction.history.overlapping(start, end)
        covered = chunks[0].start if chunks else end
        if first < min(covered, last):
            self._repeat_old(sender, first, min(covered, last), payload)
        if chunks:
            self._send(segments(direction, other, chunks))

    def _repeat_old(self, sender: Peer, start: int, end: int, payload: bytes) -> None:
        """Bytes no longer remembered are repeated: had by the peer, or passed as they come."""
        direction, other = self._directions[sender], self._directions[sender.other]
        if end <= direction.acked:
            # Out of its window on purpose: the peer answers with what it has.
            self._send([empty_segment(direction, other, ACK, direction.sent - 1)])
            return
        shift = direction.history.shift_at(start)
        chunk = Chunk(start, end, start + shift, payload[: end - start])
        self._send(segments(direction, other, [chunk]))

    # Messages

    def _advance(self, peer: Peer, gateway: Gateway, now: float) -> None:
        """Carry out what can be of the held bytes of `peer`."""
        direction, other = self._directions[peer], self._directions[peer.other]
        chunks: list[Chunk] = []
        fed = -1
        while not self.blocked and not self._closed:
            if self._detached:
                if direction.held:
                    chunks.append(self._plain(direction, len(direction.held)))
                break
            if not direction.steps:
                if not direction.held or fed == len(direction.held):
                    break
                fed = len(direction.held)
                direction.steps.extend(self._feed(peer, direction, gateway, now))
                if not direction.steps:
                    break
            self._step(peer, direction.steps.popleft(), chunks)
        if self._closed:
            return
        if not self.blocked and direction.fin == direction.received and not direction.finished:
            self._finish(direction, chunks)
        self._flush(direction, other, chunks)
        if not self.blocked and direction.held and direction.told < direction.taken:
            direction.told = direction.taken
            self._out.append(Seen(peer, "held", "", bytes(direction.held), b""))
        self._promise(peer)
        self._barrier_last()

    def _promise(self, peer: Peer, repeated: bool = False) -> None:
        """Acknowledge an incomplete message to its sender, so that it goes on sending.

        That covers all before it too, so the peer must have that: as its own
        acknowledgement says, or the sender's repeating of nothing before.
        """
        direction = self._directions[peer]
        if self.blocked or self._closed or not direction.held:
            return
        if direction.acked >= direction.taken or repeated:
            if direction.received > direction.promised:
                direction.promised = direction.received
                self._acknowledge(peer)
            elif repeated:
                self._acknowledge(peer)

    def _feed(self, peer: Peer, direction: Direction, gateway: Gateway, now: float) -> list[Step]:
        data = bytes(direction.held)
        steps = list(self._alg.feed(peer, data, gateway, now))
        used = sum(step.length for step in steps)
        if len(data) - used > self._limits.message and not any(
            isinstance(step, Detach) for step in steps
        ):
            steps += [
                Refuse(len(data) - used, "message-too-long"),
                Detach("message-too-long", True),
            ]
        return steps

    def _step(self, peer: Peer, step: Step, chunks: list[Chunk]) -> None:
        direction, other = self._directions[peer], self._directions[peer.other]
        match step:
            case Forward():
                message = bytes(direction.held[: step.length])
                data = apply_edits(message, step.edits)
                if step.is_message:
                    verdict = "rewritten" if data != message else "forwarded"
                    seen = Seen(peer, verdict, step.summary, message, data, step.pinholes)
                    self._out.append(seen)
                if step.pinholes or len(data) != len(message):
                    self._flush(direction, other, chunks)
                    self._block(peer, step, message, data)
                elif data != message:
                    chunks.append(self._chunk(direction, len(message), data, edited=True))
                else:
                    chunks.append(self._plain(direction, step.length))
            case Refuse():
                message = bytes(direction.held[: step.length])
                self._out.append(
                    Seen(peer, "refused", step.summary, message, b"", reason=step.reason)
                )
                if self._limits.reset_on_refusal:
                    self._flush(direction, other, chunks)
                    self._reset_both(peer, step.reason)
                else:
                    chunks.append(self._plain(direction, step.length))
            case Notice():
                self._out.append(Noticed(peer, step.event, step.summary))
            case Detach():
                self._flush(direction, other, chunks)
                self._detach(step)

    def _plain(self, direction: Direction, length: int) -> Chunk:
        return self._chunk(direction, length, bytes(direction.held[:length]), edited=False)

    def _chunk(self, direction: Direction, length: int, data: bytes, *, edited: bool) -> Chunk:
        chunk = direction.release(length, data, edited=edited)
        if not direction.history.add(chunk):
            self._out.append(Dropped("history-limit"))
        return chunk

    def _finish(self, direction: Direction, chunks: list[Chunk]) -> None:
        """All before the FIN has come: it goes on, and with it what is still incomplete."""
        data = bytes(direction.held)
        chunk = direction.release(len(data), data, edited=False, fin=True)
        direction.history.add(chunk)
        chunks.append(chunk)

    def _flush(self, direction: Direction, other: Direction, chunks: list[Chunk]) -> None:
        if chunks:
            self._send(segments(direction, other, chunks))
            chunks.clear()

    def _send(self, found: list[Segment]) -> None:
        self._out.append(Send(tuple(found)))

    def _acknowledge(self, sender: Peer) -> None:
        """Tell `sender`, in its peer's name, that we have what it sent."""
        direction, other = self._directions[sender], self._directions[sender.other]
        self._send([empty_segment(other, direction, ACK, other.sent)])

    # Tables first

    def _block(self, peer: Peer, step: Forward, message: bytes, data: bytes) -> None:
        direction, other = self._directions[peer], self._directions[peer.other]
        before = direction.shift
        chunk = direction.release(len(message), data, edited=True)
        resized = len(data) != len(message)
        if resized:
            direction.shift += len(data) - len(message)
            direction.history.edit(Level(chunk.start, chunk.end, before, direction.shift))
            self._resized = True
        self._blocked = _Blocked(peer, message, chunk, step, before)
        found = segments(direction, other, [chunk])
        self._out.append(Barrier(tuple(found), step.pinholes, resized))

    def _barrier_last(self) -> None:
        """Nothing may follow a barrier in a list of effects."""
        for index, effect in enumerate(self._out):
            if isinstance(effect, Barrier):
                self._out.append(self._out.pop(index))
                return

    def _undo(self, direction: Direction, blocked: _Blocked) -> None:
        """The message did not leave: take it back and treat it as refused."""
        if direction.shift != blocked.shift_before:
            direction.shift = blocked.shift_before
            direction.history.undo_edit()
        direction.held[:0] = blocked.message
        direction.taken = blocked.chunk.start
        # What else the ALG opened with it did not come to be either.
        rest = [
            Refuse(step.length, "tables", step.summary)
            if isinstance(step, Forward) and step.pinholes
            else step
            for step in direction.steps
        ]
        refused = Refuse(len(blocked.message), "tables", blocked.step.summary)
        direction.steps.clear()
        direction.steps.extend([refused, *rest])

    # Ends

    def _reset_both(self, peer: Peer, reason: str) -> None:
        direction, other = self._directions[peer], self._directions[peer.other]
        direction.peer_acked = max(direction.peer_acked, other.acked)
        # Towards the sender everything it sent counts as received.
        direction.promised = max(direction.promised, direction.received)
        self._send(
            [
                empty_segment(direction, other, RST | ACK, direction.sent),
                empty_segment(other, direction, RST | ACK, other.sent),
            ]
        )
        self._closed = True
        self._out.append(Closed(reason))

    def _detach(self, step: Detach) -> None:
        self._detached = True
        self._out.append(Detached(step.reason, step.is_error))
        for peer, direction in self._directions.items():
            direction.steps.clear()
            if direction.held and direction.packet is not None and not self.blocked:
                chunk = self._plain(direction, len(direction.held))
                self._send(segments(direction, self._directions[peer.other], [chunk]))
