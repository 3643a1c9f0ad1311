"""Changes recorded by an UndoLog can be taken back, whatever they were."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.undo import Tracked, TrackedCounts, TrackedDict, TrackedSet, UndoLog


@dataclass(slots=True, eq=False)
class Record(Tracked):
    name: str
    number: int = 0


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["set", "delete", "pop", "default", "clear"]), st.integers(0, 4)),
    max_size=20,
)


def apply(store: TrackedDict[int, int], operations: list[tuple[str, int]]) -> None:
    for number, (operation, key) in enumerate(operations):
        match operation:
            case "set":
                store[key] = number
            case "delete":
                if key in store:
                    del store[key]
            case "pop":
                store.pop(key, None)
            case "default":
                store.setdefault(key, number)
            case "clear":
                store.clear()


@given(OPERATIONS, OPERATIONS)
def test_a_dict_is_as_it_was_at_the_savepoint(
    before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    log = UndoLog()
    store: TrackedDict[int, int] = TrackedDict(log)
    apply(store, before)
    copy, savepoint = dict(store), log.savepoint()
    apply(store, after)
    log.roll_back(savepoint)
    assert dict(store) == copy
    log.roll_back()
    assert dict(store) == {}


def test_what_was_forgotten_stays() -> None:
    log = UndoLog()
    store: TrackedDict[str, int] = TrackedDict(log)
    store["a"] = 1
    log.forget()
    store["a"] = 2
    log.roll_back()
    assert store == {"a": 1}


def test_a_record_is_tracked_from_when_it_is_kept() -> None:
    log = UndoLog()
    record = Record("a")
    record.number = 1
    store: TrackedDict[str, Record] = TrackedDict(log)
    store["a"] = record
    log.forget()
    record.number = 2
    record.name = "b"
    log.roll_back()
    assert (record.name, record.number) == ("a", 1)


def test_counts_and_sets_are_taken_back() -> None:
    log = UndoLog()
    counts: TrackedCounts[str] = TrackedCounts(log)
    members: TrackedSet[str] = TrackedSet(log)
    counts.add("a", 2)
    members.add("a")
    log.forget()
    counts.add("a", -2)
    counts.add("b")
    members.discard("a")
    members.add("b")
    assert "a" not in counts
    assert list(members) == ["b"]
    log.roll_back()
    assert dict(counts.items()) == {"a": 2}
    assert list(members) == ["a"]


def test_ways_to_change_a_dict_that_nobody_would_record_are_closed() -> None:
    store: TrackedDict[str, int] = TrackedDict(UndoLog())
    with pytest.raises(NotImplementedError):
        store.update({"a": 1})
    with pytest.raises(NotImplementedError):
        store.popitem()
    with pytest.raises(NotImplementedError):
        store |= {"a": 1}
    assert store == {}
