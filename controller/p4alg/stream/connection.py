"""What the parts of a stream follower share: both directions, the states, and the effects."""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.alg.contract import Forward, Peer, Refuse
from p4alg.packet.tcp import ACK
from p4alg.stream.direction import Direction
from p4alg.stream.effects import Barrier, Dropped, Effect, Send
from p4alg.stream.history import Chunk
from p4alg.stream.segments import Segment, data_segments, empty_segment
from p4alg.stream.state import ConnectionState


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message whose tables are being written.

    `message` is as its sender sent it, `chunk` as it goes on, `step` what the ALG decided.
    A message that is turned away goes on as nothing; `answer` is what its sender is told, and
    `acked` how much its receiver had acknowledged before.
    """

    direction: Direction
    message: bytes
    chunk: Chunk
    step: Forward | Refuse
    answer: Chunk | None = None
    acked: int = 0


class Connection:
    """One TCP connection. `limit` bounds what each direction keeps in each place; bytes."""

    def __init__(self, limit: int) -> None:
        client, server = Direction(Peer.CLIENT, limit), Direction(Peer.SERVER, limit)
        client.reverse, server.reverse = server, client
        self.directions = {Peer.CLIENT: client, Peer.SERVER: server}
        self.state = ConnectionState()
        self.waiting: Waiting | None = None
        """The message that blocks the connection; not None exactly while `state.blocked`."""
        self.effects: list[Effect] = []
        """What has been decided since `take`."""
        self.challenges = 0
        self.challenged_since = float("-inf")
        """How many challenges were sent since when, in seconds (`acceptance`)."""

    def take(self) -> list[Effect]:
        """The effects since the last call. A barrier comes last: nothing may overtake it."""
        effects, self.effects = self.effects, []
        if self.waiting is not None:
            effects.sort(key=lambda effect: isinstance(effect, Barrier))
        return effects

    def drop(self, reason: str) -> None:
        """Report that a segment, or the memory of one, had to be given up."""
        self.effects.append(Dropped(reason))

    def send(self, segments: list[Segment]) -> None:
        """Emit segments."""
        self.effects.append(Send(tuple(segments)))

    def send_chunks(self, direction: Direction, chunks: list[Chunk]) -> None:
        """Send these chunks to the direction's receiver, and empty the list."""
        if chunks:
            self.send(data_segments(direction, chunks))
            chunks.clear()

    def send_acknowledgement(self, direction: Direction) -> None:
        """Acknowledge to the direction's sender, in its receiver's name, all it is to be told."""
        reverse = direction.reverse
        self.send([empty_segment(reverse, ACK, reverse.next_out)])

    def release(self, direction: Direction, length: int, data: bytes | None = None) -> Chunk:
        """Take the next `length` held bytes out, to be sent on as `data`, and keep the chunk.

        Without `data` they are sent on as they are.
        """
        edited = data is not None
        sent = data if data is not None else bytes(direction.held[:length])
        chunk = direction.release(length, sent, edited=edited)
        self.keep(direction, chunk)
        return chunk

    def keep(self, direction: Direction, chunk: Chunk) -> None:
        """Add a chunk to the history of its direction."""
        if not direction.history.add(chunk):
            self.drop("history-limit")
