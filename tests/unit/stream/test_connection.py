"""What the parts of a follower share."""

from p4alg.alg.contract import Forward, Peer
from p4alg.stream.connection import Connection, Waiting
from p4alg.stream.effects import Barrier, Dropped, Send
from p4alg.stream.history import MAX_WHOLE, Chunk
from tests.unit.packet.frames import tcp_segment


def connection() -> Connection:
    found = Connection(4096)
    for isn, direction in enumerate(found.directions.values()):
        direction.begin(1000 * isn)
        direction.remember(1, tcp_segment())
    return found


def test_each_direction_knows_the_other() -> None:
    found = connection()
    for peer, direction in found.directions.items():
        assert direction.peer is peer
        assert direction.reverse is found.directions[peer.other]


def test_effects_are_taken_once() -> None:
    found = connection()
    found.drop("first")
    found.send([])
    assert found.take() == [Dropped("first"), Send(())]
    assert found.take() == []


def test_rule_2_nothing_comes_after_a_barrier() -> None:
    found = connection()
    found.drop("first")
    barrier = Barrier((), (7,), False)
    found.effects.append(barrier)
    found.waiting = Waiting(
        found.directions[Peer.CLIENT], b"", Chunk(1, 1, 1, b""), Forward(0, grants=(7,))
    )
    found.drop("second")
    assert found.take() == [Dropped("first"), Dropped("second"), barrier]


def test_what_is_released_is_kept_and_what_is_forgotten_for_it_is_told() -> None:
    found = connection()
    direction = found.directions[Peer.CLIENT]
    direction.held += b"x" * (MAX_WHOLE + 2)
    assert found.release(direction, 1) == Chunk(1, 2, 1, b"x")
    for _ in range(MAX_WHOLE + 1):
        assert found.release(direction, 1, b"y").whole
    assert direction.history.size == MAX_WHOLE + 1
    assert found.take() == [Dropped("history-limit")]


def test_nothing_is_sent_for_no_chunks() -> None:
    found = connection()
    found.send_chunks(found.directions[Peer.CLIENT], [])
    assert found.take() == []
