"""What was given back rests, and wakes in order (RFC 6888 REQ-8)."""

from p4alg.nat.resting import Resting
from p4alg.undo import UndoLog


def test_N6888_8_what_rests_wakes_after_its_rest_and_not_before() -> None:
    resting: Resting[str] = Resting(120.0, UndoLog())
    resting.add("a", 0.0)
    resting.add("b", 10.0)
    assert resting.wake(119.9) == []
    assert resting.wake(120.0) == ["a"]
    assert "a" not in resting
    assert "b" in resting
    assert resting.wake(500.0) == ["b"]
    assert len(resting) == 0


def test_what_is_given_back_again_rests_anew() -> None:
    resting: Resting[str] = Resting(120.0, UndoLog())
    resting.add("a", 0.0)
    resting.add("b", 10.0)
    resting.add("a", 20.0)
    assert resting.wake(130.0) == ["b"]
    assert resting.wake(139.9) == []
    assert resting.wake(140.0) == ["a"]


def test_what_is_taken_all_the_same_rests_no_more() -> None:
    resting: Resting[str] = Resting(120.0, UndoLog())
    resting.add("a", 0.0)
    resting.discard("a")
    resting.discard("b")
    assert resting.wake(500.0) == []


def test_rest_is_undone_with_its_event() -> None:
    log = UndoLog()
    resting: Resting[str] = Resting(120.0, log)
    resting.add("a", 0.0)
    log.forget()
    resting.wake(200.0)
    resting.add("b", 200.0)
    log.roll_back()
    assert "a" in resting
    assert "b" not in resting
