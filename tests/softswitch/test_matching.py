"""Table storage against a model that compares every entry with the key."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4softswitch.errors import Reason, StateError
from p4softswitch.program.model import FieldRef, KeyField, MatchKind, Table
from p4softswitch.state.entry import Exact, Masked, Match, Prefix, Range
from p4softswitch.state.tables import Entry, TableStore
from tests.conftest import examples

WIDTHS = (5, 4, 6)


def make_table(kinds: tuple[MatchKind, ...], kind: MatchKind, size: int = 1000) -> TableStore:
    keys = tuple(
        KeyField(f"k{i}", FieldRef("h", f"f{i}"), k, w, None)
        for i, (k, w) in enumerate(zip(kinds, WIDTHS, strict=True))
    )
    return TableStore(
        Table(
            name="t",
            keys=keys,
            kind=kind,
            max_size=size,
            with_counters=True,
            support_timeout=True,
            direct_meter=None,
            action_ids=(0,),
            next_by_action={0: None},
            hit_next=None,
            miss_next=None,
            next_by_hit=False,
            default_action=0,
            default_args=(0,),
            const_default=False,
            entries=(),
            const_entries=False,
        ),
        {0: [8]},
    )


def value(width: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << width) - 1)


def exact(width: int) -> st.SearchStrategy[Match]:
    return value(width).map(Exact)


def prefix(width: int) -> st.SearchStrategy[Match]:
    def build(v: int, length: int) -> Match:
        return Prefix(v & ~((1 << (width - length)) - 1), length)

    return st.builds(build, value(width), st.integers(0, width))


def masked(width: int) -> st.SearchStrategy[Match]:
    return st.builds(lambda v, m: Masked(v & m, m), value(width), value(width))


def ranged(width: int) -> st.SearchStrategy[Match]:
    return st.builds(lambda a, b: Range(min(a, b), max(a, b)), value(width), value(width))


STRATEGY = {
    MatchKind.EXACT: exact,
    MatchKind.LPM: prefix,
    MatchKind.TERNARY: masked,
    MatchKind.RANGE: ranged,
}


def hits(match: Match, v: int, width: int) -> bool:
    match match:
        case Exact(want):
            return v == want
        case Prefix(want, length):
            return v >> (width - length) == want >> (width - length)
        case Masked(want, mask):
            return v & mask == want
        case Range(low, high):
            return low <= v <= high


def naive(entries: list[Entry], key: tuple[int, ...]) -> Entry | None:
    found = [
        e
        for e in entries
        if all(hits(m, v, w) for m, v, w in zip(e.matches, key, WIDTHS, strict=True))
    ]

    def rank(e: Entry) -> tuple[int, int, int]:
        lengths = [m.length for m in e.matches if isinstance(m, Prefix)]
        return (-e.priority, -sum(lengths) if not e.priority else 0, entries.index(e))

    return min(found, key=rank, default=None)


SHAPES = [
    ((MatchKind.EXACT, MatchKind.EXACT, MatchKind.EXACT), MatchKind.EXACT),
    ((MatchKind.EXACT, MatchKind.LPM, MatchKind.EXACT), MatchKind.LPM),
    ((MatchKind.TERNARY, MatchKind.LPM, MatchKind.EXACT), MatchKind.TERNARY),
    ((MatchKind.TERNARY, MatchKind.RANGE, MatchKind.RANGE), MatchKind.RANGE),
]


@pytest.mark.parametrize(("kinds", "kind"), SHAPES)
@examples(60)
@given(data=st.data())
def test_lookup_agrees_with_comparing_every_entry(
    kinds: tuple[MatchKind, ...], kind: MatchKind, data: st.DataObject
) -> None:
    store = make_table(kinds, kind)
    model: list[Entry] = []
    rows = st.tuples(*(STRATEGY[k](w) for k, w in zip(kinds, WIDTHS, strict=True)))
    priorities = st.integers(1, 4) if store.needs_priority else st.just(0)
    again = [data.draw(st.tuples(*(value(w) for w in WIDTHS))) for _ in range(5)]
    # More entries than are compared one by one, now and then.
    for _ in range(data.draw(st.integers(0, 60))):
        for key in again:
            assert store.lookup(key) == naive(model, key)
        if model and data.draw(st.integers(0, 3)) == 0:
            gone = data.draw(st.sampled_from(model))
            model.remove(gone)
            store.delete(gone.matches, gone.priority)
            continue
        matches, priority = data.draw(rows), data.draw(priorities)
        if any((e.matches, e.priority) == (matches, priority) for e in model):
            with pytest.raises(StateError) as refused:
                store.insert(matches, priority, 0, (1,), 0)
            assert refused.value.reason is Reason.ALREADY_EXISTS
        else:
            model.append(store.insert(matches, priority, 0, (1,), 0))
    for _ in range(20):
        key = data.draw(st.tuples(*(value(w) for w in WIDTHS)))
        assert store.lookup(key) == naive(model, key)


EXACT = SHAPES[0]


def test_a_full_table_refuses_the_new_and_keeps_the_old() -> None:
    store = make_table(*EXACT, size=2)
    for v in (1, 2):
        store.insert((Exact(v), Exact(0), Exact(0)), 0, 0, (1,), 0)
    with pytest.raises(StateError) as refused:
        store.insert((Exact(3), Exact(0), Exact(0)), 0, 0, (1,), 0)
    assert refused.value.reason is Reason.RESOURCE_EXHAUSTED
    assert len(store) == 2
    store.delete((Exact(1), Exact(0), Exact(0)), 0)
    store.insert((Exact(3), Exact(0), Exact(0)), 0, 0, (1,), 0)


def test_a_missing_entry_cannot_be_modified_or_deleted() -> None:
    store = make_table(*EXACT)
    key = (Exact(1), Exact(0), Exact(0))
    for attempt in (lambda: store.delete(key, 0), lambda: store.modify(key, 0, 0, (1,))):
        with pytest.raises(StateError) as refused:
            attempt()
        assert refused.value.reason is Reason.NOT_FOUND


def test_modify_keeps_the_counters() -> None:
    store = make_table(*EXACT)
    key = (Exact(1), Exact(0), Exact(0))
    store.insert(key, 0, 0, (1,), 0).set_counter(5, 300)
    assert store.modify(key, 0, 0, (9,)).packets == 5
    assert store.find(key, 0).args == (9,)


def test_an_idle_entry_is_reported_by_every_other_sweep_until_it_is_hit() -> None:
    store = make_table(*EXACT)
    entry = store.insert((Exact(1), Exact(0), Exact(0)), 0, 0, (1,), now=0)
    entry.idle_timeout_ns = 100
    assert store.sweep(99) == []
    assert store.sweep(100) == [entry]
    assert store.sweep(101) == []
    assert store.sweep(102) == [entry]
    entry.last_hit = 150
    assert store.sweep(200) == []
    assert store.sweep(250) == [entry]


def test_a_constant_default_action_cannot_be_changed() -> None:
    store = make_table(*EXACT)
    store.table = replace(store.table, const_default=True)
    with pytest.raises(StateError) as refused:
        store.set_default(0, (1,))
    assert refused.value.reason is Reason.PERMISSION_DENIED
