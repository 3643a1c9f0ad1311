"""An engine's entries get the number of their organisation, and lose it on the way back."""

from __future__ import annotations

import pytest

from p4alg.engine import tables as t
from p4alg.engine.declaration import declarations
from p4alg.engine.stamping import organisation_of, stamp_of, stamped, unstamped
from p4alg.engine.tables import FilterMode, FlowKey
from tests.unit.engine.harness import settings
from tests.unit.engine.tenants import BLUE, organisation

KEY = FlowKey(6, 1, 2, 3, 4)
NONE = t.Correction(0, 0, 0)
ENTRIES: list[t.Entry] = [
    t.Subscriber(1, 7),
    t.Block(1, 4096, 20, 7, 2),
    t.MapOut(6, 1, 2, 3, 4),
    t.MapIn(6, 1, 2, 3, 4, FilterMode.ADDRESS),
    t.IkeIn(1, 2, 3, 4, FilterMode.ADDRESS),
    t.AddrMapOut(1, 2),
    t.AddrMapIn(1, 2, FilterMode.ADDRESS),
    t.PeerEntry(6, 1, 2, 3),
    t.Session(KEY),
    t.Sequence(KEY, NONE, NONE),
    t.PinholeEntry(6, 1, 2, 3, 4, 5),
    t.Service(6, (21, 0xFFFFFFFF), 1),
    t.Route(0, 0, 1),
]
"""One of each table whose entries are an organisation's."""
COMMON: list[t.Entry] = [t.Local(1), t.PoolPrefix(1, 32), t.NextHop(1, 1, 0, 1, 2, 1500)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_the_number_goes_in_and_comes_out(entry: t.Entry) -> None:
    there = stamped(entry, BLUE)
    assert organisation_of(there) == BLUE
    assert there != entry
    assert unstamped(there) == entry
    # Number 0 is one like any other where there are several.
    assert organisation_of(stamped(entry, 0)) == 0
    assert unstamped(stamped(entry, 0)) == entry


@pytest.mark.parametrize("entry", COMMON, ids=lambda entry: type(entry).__name__)
def test_what_is_nobodys_stays_as_it_is(entry: t.Entry) -> None:
    assert stamped(entry, BLUE) is entry
    assert unstamped(entry) is entry
    assert organisation_of(entry) is None


def test_every_table_that_has_organisations_is_known() -> None:
    """`port_zone` and `policy` are written with theirs by `layout`."""
    explicit = {"port_zone", "policy"}
    named = set()
    for name, declared in declarations().items():
        fields = {field.name for field in declared.matches}
        fields |= {parameter.name for each in declared.actions.values() for parameter in each}
        if "organisation" in fields:
            named.add(name)
    assert {entry.declaration.table for entry in ENTRIES} == named - explicit


def test_the_only_organisation_writes_nothing_of_organisations() -> None:
    for entry in ENTRIES:
        assert stamp_of(settings())(entry) is entry
        assert organisation_of(stamp_of(organisation("blue"))(entry)) == BLUE
