"""Follows a UDP control flow for an ALG; the counterpart of `tcp.StreamFollower`.

Each datagram is one message. A fragment, or a datagram whose checksum is wrong, is sent on
unread (G7).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import cast

from p4alg.alg.contract import (
    DatagramAlg,
    Detach,
    Endpoint,
    Finish,
    Forward,
    Gateway,
    Notice,
    Peer,
    Refuse,
    Step,
    TransferAlg,
    Watch,
    apply_edits,
)
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import Ipv4, allow_fragments, parse_ipv4
from p4alg.packet.udp import answer_udp, is_intact, parse_udp, replace_udp
from p4alg.stream.effects import (
    Answer,
    Barrier,
    Detached,
    Dropped,
    Effect,
    Finished,
    Noticed,
    Seen,
    Send,
    Shift,
    Watched,
)
from p4alg.stream.segments import Segment


class DatagramFollower:
    """One UDP control flow (see `effects.Follower`).

    A refused datagram is sent on as it is if `pass_refused`, and else dropped.
    """

    resized = False
    bytes_held = 0
    is_over = False
    is_proved = True
    """UDP has no handshake that could prove anything."""

    def __init__(self, alg: DatagramAlg, *, pass_refused: bool) -> None:
        self._alg = alg
        self._pass_refused = pass_refused
        self._waiting: deque[tuple[Seen, Answer | None]] = deque()
        """Messages that wait for their tables, and what their senders are told without them."""
        self._out: list[Effect] = []
        self._detached = False

    @property
    def blocked(self) -> bool:
        """Whether some message waits for its tables."""
        return bool(self._waiting)

    @property
    def detached(self) -> bool:
        """Whether the ALG has stepped aside."""
        return self._detached

    @property
    def may_leave_to_switch(self) -> bool:
        """Whether the switch alone can carry the rest of the flow."""
        return self._detached and not self._waiting

    def shed(self) -> None:
        """Nothing is kept of datagrams."""

    def shift(self, _sender: Peer) -> Shift:
        """No correction, since datagrams have no sequence numbers."""
        return Shift(0, 0, 0)

    def packet(
        self, sender: Peer, port: int, frame: bytes, gateway: Gateway, now: float
    ) -> list[Effect]:
        """A datagram of `sender` arrived at switch port `port`. Never raises on any frame."""
        packet = self._readable(port, frame)
        if packet is not None:
            data = parse_udp(packet).payload
            steps = self._alg.receive(sender, data, gateway, now)
            self._carry_out(sender, port, packet, data, steps)
        return self._take()

    def data_packet(
        self,
        opener: Endpoint,
        sender: Peer,
        port: int,
        frame: bytes,
        gateway: Gateway,
        now: float,
    ) -> list[Effect]:
        """A datagram arrived on a data flow that the ALG, a `TransferAlg`, announced.

        `opener` is the end that opened that flow. Never raises on any frame.
        """
        packet = self._readable(port, frame)
        if packet is not None:
            data = parse_udp(packet).payload
            alg = cast(TransferAlg, self._alg)
            steps = alg.receive_data(opener, sender, data, gateway, now)
            self._carry_out(sender, port, packet, data, steps)
        return self._take()

    def resume(self, ok: bool, _gateway: Gateway, _now: float) -> list[Effect]:
        """The tables of the message that waits longest were written; if not `ok`, they were not."""
        seen, answer = self._waiting.popleft()
        if not ok:
            reason = "tables"
            self._out.append(
                Seen(seen.sender, "refused", seen.summary, seen.before, b"", reason=reason)
            )
            if answer is not None:
                self._out.append(answer)
        return self._take()

    def detach(self, reason: str, _now: float) -> list[Effect]:
        """Stop reading."""
        if not self._detached:
            self._detached = True
            self._out.append(Detached(reason, False))
        return self._take()

    def _take(self) -> list[Effect]:
        effects, self._out = self._out, []
        return effects

    def _readable(self, port: int, frame: bytes) -> Ipv4 | None:
        """The packet, if it is to be read; otherwise it was sent on unread, or dropped."""
        try:
            packet = parse_ipv4(frame)
            if not self._detached and not packet.is_fragment and is_intact(packet):
                return packet
        except PacketError:
            self._out.append(Dropped("malformed"))
            return None
        # A damaged datagram stays damaged, so that its receiver sees that and drops it.
        self._send(port, frame)
        return None

    def _send(self, port: int, frame: bytes) -> None:
        self._out.append(Send((Segment(port, frame),)))

    def _carry_out(
        self, sender: Peer, port: int, packet: Ipv4, data: bytes, steps: Sequence[Step]
    ) -> None:
        for step in steps:
            match step:
                case Forward():
                    self._forward(sender, port, packet, data, step)
                case Refuse():
                    self._out.append(
                        Seen(sender, "refused", step.summary, data, b"", reason=step.reason)
                    )
                    if self._pass_refused:
                        self._send(port, packet.frame)
                    elif step.answer:
                        self._out.append(Answer(Segment(port, answer_udp(packet, step.answer))))
                case Notice():
                    self._out.append(Noticed(sender, step.event, step.summary, step.is_warning))
                case Watch():
                    self._out.append(Watched(step.sender, step.below))
                case Finish():
                    self._out.append(Finished(step.linger))
                case Detach():
                    self._detached = True
                    self._out.append(Detached(step.reason, step.is_error))
                    self._send(port, packet.frame)

    def _forward(self, sender: Peer, port: int, packet: Ipv4, data: bytes, step: Forward) -> None:
        edited = apply_edits(data, step.edits)
        try:
            frame = packet.frame if edited == data else replace_udp(packet, edited)
        except PacketError:
            self._out.append(Seen(sender, "refused", step.summary, data, b"", reason="too-long"))
            return
        if len(edited) > len(data):
            # The sender may have forbidden fragments, but not knowing that the datagram would grow.
            frame = allow_fragments(parse_ipv4(frame))
        verdict = "rewritten" if edited != data else "forwarded"
        seen = Seen(sender, verdict, step.summary, data, edited, step.grants)
        if step.is_message:
            self._out.append(seen)
        if step.grants:
            answer = None
            if step.answer:
                answer = Answer(Segment(port, answer_udp(packet, step.answer)))
            self._waiting.append((seen, answer))
            self._out.append(Barrier((Segment(port, frame),), step.grants, False))
        else:
            self._send(port, frame)
