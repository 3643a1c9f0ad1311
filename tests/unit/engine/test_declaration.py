"""A declaration says of a table what the P4Info says; one that contradicts itself is refused."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Annotated

import pytest

from p4alg.engine import tables as t
from p4alg.engine.declaration import (
    IDLE_TIMEOUT,
    PREFIX_LENGTH,
    Entry,
    Exact,
    Param,
    Ternary,
    Unless0,
    declarations,
    table,
)
from p4alg.engine.reconcile import entry_key


def test_the_key_is_what_tells_entries_apart() -> None:
    first = t.MapOut(6, 1, 2, 3, 4)
    assert entry_key(first) == entry_key(t.MapOut(6, 1, 2, 30, 40))
    assert entry_key(first) != entry_key(t.MapOut(17, 1, 2, 3, 4))
    assert entry_key(t.Local(1)) == (t.Local, 1)
    assert entry_key(t.Route(1, 24, 9)) == (t.Route, (1, 24, 0))
    pinhole = t.PinholeEntry(6, 1, 2, None, None, 7, priority=5, idle_timeout=3.0)
    assert entry_key(pinhole) == (t.PinholeEntry, (6, 1, 2, None, None, 5, 0))
    flow = t.FlowKey(6, 1, 2, 3, 4)
    assert entry_key(t.Session(flow, 1)) == (t.Session, flow)


def test_the_entry_of_a_table_without_key_is_the_default_entry() -> None:
    entry = t.Gateway(916, t.FilterMode.ADDRESS)
    assert entry_key(entry) == (t.Gateway, ())
    assert entry.declaration.is_default
    assert not t.Local.declaration.is_default


def test_an_action_that_depends_on_a_parameter_may_lack_others_too() -> None:
    with_block, without = (list(p) for p in t.Subscriber.declaration.actions.values())
    assert [p.name for p in without] == ["subscriber"]
    assert len(with_block) == 5


def test_entries_are_values() -> None:
    entry = t.Local(1)
    assert entry == t.Local(addr=1)
    assert hash(entry) == hash(t.Local(1))
    with pytest.raises(FrozenInstanceError):
        entry.addr = 2  # type: ignore[misc]
    assert not hasattr(entry, "__dict__")


def test_a_table_is_declared_once() -> None:
    with pytest.raises(TypeError, match="local_addr is declared twice"):

        @table("local_addr", size=1, action="is_local")
        class Again(Entry):
            addr: Annotated[int, Exact(32)]


@pytest.mark.parametrize("action", [None, Unless0("nosuch", "one", otherwise="other")])
def test_the_action_is_named_somewhere(action: Unless0 | None) -> None:
    with pytest.raises(TypeError, match=r"name the action|no such parameters as \['nosuch'\]"):

        @table("made_up", size=1, action=action)
        class MadeUp(Entry):
            addr: Annotated[int, Exact(32)]

    assert "made_up" not in declarations()


def test_every_field_says_what_it_is() -> None:
    with pytest.raises(TypeError, match="what: say what it is"):

        @table("made_up", size=1, action="act")
        class Silent(Entry):
            what: int

    with pytest.raises(TypeError, match="what: one annotation"):

        @table("made_up", size=1, action="act")
        class Both(Entry):
            what: Annotated[int, Exact(8), Param(8)]

    with pytest.raises(TypeError, match="length: no Lpm field"):

        @table("made_up", size=1, action="act")
        class Orphan(Entry):
            addr: Annotated[int, Ternary(32)]
            length: Annotated[int, PREFIX_LENGTH]

    with pytest.raises(TypeError, match="of the key or it is not"):

        @table("made_up", size=1, action="act")
        class Mixed(Entry):
            both: Half
            age: Annotated[float, IDLE_TIMEOUT]

    assert "made_up" not in declarations()


class Half(tuple[int, int]):
    key: Annotated[int, Exact(8)]
    value: Annotated[int, Param(8)]
