"""Gives held bytes to the ALG, and carries out what it decides on them.

A message that needs tables blocks the connection in both directions: it leaves, and whatever
was sent after it is looked at, only when the switch has them (rule "pinhole before message").
"""

from __future__ import annotations

from p4alg.alg.contract import (
    Detach,
    Forward,
    Gateway,
    Notice,
    Refuse,
    Step,
    StreamAlg,
    apply_edits,
)
from p4alg.packet.tcp import ACK
from p4alg.stream.connection import Connection, Waiting
from p4alg.stream.direction import Direction
from p4alg.stream.effects import Barrier, Noticed, Seen
from p4alg.stream.ends import finish, reset_both, step_aside
from p4alg.stream.history import Chunk, Resize
from p4alg.stream.repeats import acknowledge_held
from p4alg.stream.segments import data_segments, empty_segment
from p4alg.stream.state import DirectionState, Reading, ReadingEvent


class Messages:
    """The messages of one connection.

    `longest` is how many bytes of an incomplete message are held. A refused message resets the
    connection if `reset_on_refusal`, and else is sent on as it is.
    """

    def __init__(
        self, connection: Connection, alg: StreamAlg, *, longest: int, reset_on_refusal: bool
    ) -> None:
        self._connection = connection
        self._state = connection.state
        self._alg = alg
        self._longest = longest
        self._reset_on_refusal = reset_on_refusal
        self.resized = False
        """Whether some message was sent on longer or shorter than it came."""

    def advance(self, direction: Direction, gateway: Gateway, now: float) -> None:
        """Decide on the held bytes of a direction and send on what may leave."""
        chunks: list[Chunk] = []
        """Decided, and not sent yet: chunks that follow each other share segments."""
        self._decide(direction, chunks, gateway, now)
        if self._state.is_reset:
            return
        if not self._state.blocked:
            if self._state.detached and direction.held:
                chunks.append(self._connection.release(direction, len(direction.held)))
            is_complete = direction.fin == direction.received
            if is_complete and not self._is_finished(direction):
                finish(self._connection, direction, chunks)
        self._connection.send_chunks(direction, chunks)
        self._report_held(direction)
        acknowledge_held(self._connection, direction)

    def stop_waiting(self, ok: bool) -> None:
        """The tables of the message that waits were written; if not `ok`, they were not."""
        outcome = ReadingEvent.TABLES_WRITTEN if ok else ReadingEvent.TABLES_REFUSED
        self._state.reading_happened(outcome)
        waiting, self._connection.waiting = self._connection.waiting, None
        assert waiting is not None
        if self._state.is_reset:
            return
        if ok:
            # It has left, and may have to be repeated.
            if waiting.chunk.end > waiting.direction.acked:
                self._connection.keep(waiting.direction, waiting.chunk)
            if waiting.answer is not None:
                self._connection.keep(waiting.direction.reverse, waiting.answer)
        else:
            self._take_back(waiting)

    def _take_back(self, waiting: Waiting) -> None:
        """Hold a message again that could not leave, and treat it as refused."""
        direction = waiting.direction
        if waiting.answer is not None:
            direction.reverse.history.undo_resize()
            direction.reverse.take_back(waiting.answer, b"")
        if isinstance(waiting.step, Refuse):
            direction.acked = waiting.acked
        if len(waiting.chunk.data) != len(waiting.message):
            direction.history.undo_resize()
        direction.take_back(waiting.chunk, waiting.message)
        # What the ALG wanted to open for the messages behind it was not opened either.
        rest = [
            Refuse(step.length, "tables", step.summary, step.answer)
            if isinstance(step, Forward) and step.grants
            else step
            for step in direction.steps
        ]
        # Turning a message away needs a table too. If that is refused, nobody can be told.
        answer = waiting.step.answer if isinstance(waiting.step, Forward) else None
        refused = Refuse(len(waiting.message), "tables", waiting.step.summary, answer)
        direction.steps.clear()
        direction.steps.extend([refused, *rest])

    def _decide(
        self, direction: Direction, chunks: list[Chunk], gateway: Gateway, now: float
    ) -> None:
        """Let the ALG decide until it wants more bytes, or a message has to wait."""
        fed = -1
        while self._state.reading is Reading.FOLLOWING and not self._state.is_reset:
            if not direction.steps:
                if not direction.held or fed == len(direction.held):
                    return
                fed = len(direction.held)
                direction.steps.extend(self._feed(direction, gateway, now))
                if not direction.steps:
                    return
            self._carry_out(direction, direction.steps.popleft(), chunks)

    def _feed(self, direction: Direction, gateway: Gateway, now: float) -> list[Step]:
        data = bytes(direction.held)
        steps = list(self._alg.feed(direction.peer, data, gateway, now))
        left = len(data) - sum(step.length for step in steps)
        if left > self._longest and not any(isinstance(step, Detach) for step in steps):
            steps += [Refuse(left, "message-too-long"), Detach("message-too-long", True)]
        return steps

    def _carry_out(self, direction: Direction, step: Step, chunks: list[Chunk]) -> None:
        match step:
            case Forward():
                self._forward(direction, step, chunks)
            case Refuse():
                self._refuse(direction, step, chunks)
            case Notice():
                self._connection.effects.append(
                    Noticed(direction.peer, step.event, step.summary, step.is_warning)
                )
            case Detach():
                self._connection.send_chunks(direction, chunks)
                step_aside(self._connection, step.reason, is_error=step.is_error)

    def _forward(self, direction: Direction, step: Forward, chunks: list[Chunk]) -> None:
        message = bytes(direction.held[: step.length])
        data = apply_edits(message, step.edits)
        if step.is_message:
            verdict = "rewritten" if data != message else "forwarded"
            self._connection.effects.append(
                Seen(direction.peer, verdict, step.summary, message, data, step.grants)
            )
        if step.grants or len(data) != len(message):
            self._connection.send_chunks(direction, chunks)
            self._block(direction, step, message, data)
        else:
            edited = data if data != message else None
            chunks.append(self._connection.release(direction, step.length, edited))

    def _refuse(self, direction: Direction, step: Refuse, chunks: list[Chunk]) -> None:
        message = bytes(direction.held[: step.length])
        self._connection.effects.append(
            Seen(direction.peer, "refused", step.summary, message, b"", reason=step.reason)
        )
        if self._reset_on_refusal and step.answer is not None:
            self._connection.send_chunks(direction, chunks)
            self._turn_away(direction, step, message, step.answer)
        elif self._reset_on_refusal:
            self._connection.send_chunks(direction, chunks)
            reset_both(self._connection, direction, step.reason)
        else:
            chunks.append(self._connection.release(direction, step.length))

    def _turn_away(self, direction: Direction, step: Refuse, message: bytes, answer: bytes) -> None:
        """Take a message out of its stream, and say `answer` in the receiver's name.

        A receiver that has sent its FIN says nothing more; the message is dropped then.
        To the switch these are two resized messages: one that has become nothing, and one that
        has come from nothing.
        """
        reverse, acked = direction.reverse, direction.acked
        before = direction.shift
        chunk = direction.release(len(message), b"", edited=True)
        direction.history.resized(Resize(chunk.start, chunk.end, before, direction.shift))
        if direction.acked >= chunk.start:
            # The receiver has all before the message, so it lacks nothing up to the end of it.
            direction.acked = chunk.end
        said: Chunk | None = None
        if answer and not self._is_finished(reverse):
            before = reverse.shift
            said = reverse.release(0, answer, edited=True, answer=True)
            reverse.history.resized(Resize(said.start, said.end, before, reverse.shift))
            segments = data_segments(reverse, [said])
        else:
            segments = [empty_segment(reverse, ACK, reverse.next_out)]
        self.resized = True
        self._connection.waiting = Waiting(direction, message, chunk, step, said, acked)
        self._state.reading_happened(ReadingEvent.TABLES_NEEDED)
        self._connection.effects.append(Barrier(tuple(segments), (), True))

    def _block(self, direction: Direction, step: Forward, message: bytes, data: bytes) -> None:
        """Let a message wait for its tables: pinholes, and the correction of sequence numbers."""
        before = direction.shift
        chunk = direction.release(len(message), data, edited=True)
        resized = len(data) != len(message)
        if resized:
            direction.history.resized(Resize(chunk.start, chunk.end, before, direction.shift))
            self.resized = True
        self._connection.waiting = Waiting(direction, message, chunk, step)
        self._state.reading_happened(ReadingEvent.TABLES_NEEDED)
        found = data_segments(direction, [chunk])
        self._connection.effects.append(Barrier(tuple(found), step.grants, resized))

    def _is_finished(self, direction: Direction) -> bool:
        return self._state.directions[direction.peer] is DirectionState.FINISHED

    def _report_held(self, direction: Direction) -> None:
        """Report an incomplete message, once, when its first bytes are held."""
        if self._state.blocked or not direction.held:
            return
        if direction.reported < direction.next_in:
            direction.reported = direction.next_in
            held = bytes(direction.held)
            self._connection.effects.append(Seen(direction.peer, "held", "", held, b""))
