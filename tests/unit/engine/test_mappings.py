"""Which binding a packet or a flow has, and when its entries are written and deleted."""

from __future__ import annotations

import pytest

from p4alg.engine import tables as t
from p4alg.engine.settings import Prefix
from p4alg.engine.tables import FilterMode, FlowKey, Op, Side, Update
from p4alg.nat.bindings import Binding, Kind, Refused
from p4alg.protocols import ESP, GRE, ICMP, TCP, UDP
from tests.unit.engine.harness import (
    INSIDE,
    INSIDE2,
    POOL,
    REMOTE,
    SERVER,
    WHOLE,
    WHOLE_OUT,
)
from tests.unit.engine.parts import NOW, Parts, updates

EVERYBODY = FilterMode.ENDPOINT_INDEPENDENT


def bound(
    parts: Parts,
    number: int = 5000,
    proto: int = UDP,
    addr: int = INSIDE,
    kind: Kind = Kind.DYNAMIC,
    outside_addr: int | None = None,
    share: bool = False,
) -> Binding:
    made = parts.mappings.binding_for(
        proto, (addr, number), NOW, kind=kind, outside_addr=outside_addr, share=share
    )
    assert not isinstance(made, Refused)
    return made


# Looking up


def test_a_packet_from_inside_needs_no_mapping_to_have_a_key() -> None:
    key_of = Parts().mappings.key_of
    ends = (INSIDE, 5000), (REMOTE, 80)
    assert key_of(UDP, Side.INSIDE, *ends) == FlowKey(UDP, INSIDE, 5000, REMOTE, 80)


def test_a_packet_from_outside_has_the_key_of_the_flow_it_is_of() -> None:
    parts = Parts()
    binding = bound(parts)
    target = (binding.outside_addr, binding.outside_id)
    found = parts.mappings.key_of(UDP, Side.OUTSIDE, (REMOTE, 80), target)
    assert found == FlowKey(UDP, INSIDE, 5000, REMOTE, 80)
    assert parts.mappings.key_of(TCP, Side.OUTSIDE, (REMOTE, 80), target) is None


def test_N5508_1_the_identifier_of_a_query_is_that_of_the_inside_end() -> None:
    parts = Parts()
    binding = bound(parts, 77, ICMP)
    target = (binding.outside_addr, binding.outside_id)
    asked = parts.mappings.key_of(ICMP, Side.INSIDE, (INSIDE, 77), (REMOTE, 77))
    answered = parts.mappings.key_of(ICMP, Side.OUTSIDE, (REMOTE, binding.outside_id), target)
    assert asked == answered == FlowKey(ICMP, INSIDE, 77, REMOTE, 0)


def test_a_host_with_a_mapping_of_its_whole_address_keeps_every_number() -> None:
    parts = Parts()
    found = parts.mappings.inside_endpoint(UDP, WHOLE_OUT, 4711)
    assert found is not None
    assert (found.inside_addr, found.inside_id, found.kind) == (WHOLE, 4711, Kind.STATIC)
    assert parts.mappings.outside_of(WHOLE) == WHOLE_OUT
    assert parts.mappings.outside_addr_of(WHOLE) == WHOLE_OUT
    assert parts.mappings.outside_of(INSIDE) is None
    assert parts.mappings.inside_endpoint(UDP, POOL + 9, 4711) is None


def test_N4787_2_an_outside_address_that_is_chosen_stays() -> None:
    parts = Parts()
    chosen = parts.mappings.outside_addr_of(INSIDE)
    assert chosen is not None
    assert bound(parts).outside_addr == chosen
    assert Parts(pools=()).mappings.outside_addr_of(INSIDE) is None


# Bindings begin


def test_N4787_1_an_endpoint_has_one_binding() -> None:
    parts = Parts()
    assert bound(parts) is bound(parts)
    assert bound(parts) is not bound(parts, 5001)


def test_an_address_that_is_demanded_is_given_or_refused() -> None:
    parts = Parts()
    assert bound(parts, outside_addr=POOL + 3).outside_addr == POOL + 3
    again = parts.mappings.binding_for(UDP, (INSIDE, 5000), NOW, outside_addr=POOL + 4)
    assert again == Refused("mapping-conflict")
    whole = parts.mappings.binding_for(UDP, (WHOLE, 1), NOW, outside_addr=POOL + 3)
    assert whole == Refused("mapping-conflict")
    assert bound(parts, 1, addr=WHOLE, outside_addr=WHOLE_OUT).kind is Kind.STATIC


@pytest.mark.parametrize(
    ("proto", "number", "share", "kind"),
    [
        (UDP, 500, True, Kind.SHARED),
        (GRE, 0, False, Kind.SHARED),
        (ESP, 0, False, Kind.SHARED),
        (ESP, 0x1234, False, Kind.PINHOLE),
    ],
)
def test_K1_K2_who_shares_an_identifier_or_claims_it_keeps_it(
    proto: int, number: int, share: bool, kind: Kind
) -> None:
    binding = bound(Parts(), number, proto, share=share)
    assert (binding.kind, binding.outside_id) == (kind, number)


def test_K2_an_SPI_is_had_by_one_host_alone() -> None:
    parts = Parts(pools=(Prefix(POOL, 32),))
    bound(parts, 0x1234, ESP)
    other = parts.mappings.binding_for(ESP, (INSIDE2, 0x1234), NOW)
    assert other == Refused("in-use")


def test_a_pair_of_ports_is_a_pair_outside() -> None:
    found = Parts().mappings.binding_pair(UDP, INSIDE, 5000, NOW, POOL + 1)
    assert not isinstance(found, Refused)
    rtp, rtcp = found
    assert (rtp.outside_id % 2, rtcp.outside_id) == (0, rtp.outside_id + 1)


def test_a_pair_of_a_host_with_a_whole_address_is_the_same_pair() -> None:
    mappings = Parts().mappings
    found = mappings.binding_pair(UDP, WHOLE, 5000, NOW, WHOLE_OUT)
    assert not isinstance(found, Refused)
    assert [binding.outside_id for binding in found] == [5000, 5001]
    assert mappings.binding_pair(UDP, WHOLE, 5000, NOW, POOL) == Refused("mapping-conflict")


# Entries


def test_the_entries_of_a_binding_say_who_may_use_it() -> None:
    parts = Parts(filter_mode=EVERYBODY)
    parts.subscribe()
    number = parts.subscribers.number_of(INSIDE)
    assert number > 0
    plain, asked = bound(parts), bound(parts, 5001, kind=Kind.PINHOLE)
    modes = []
    for binding in (plain, asked):
        inside = (binding.inside_addr, binding.inside_id)
        outside = (binding.outside_addr, binding.outside_id)
        out, into = parts.mappings.entries(binding)
        assert out == t.MapOut(UDP, *inside, *outside, number, managed=1)
        assert isinstance(into, t.MapIn)
        assert into == t.MapIn(UDP, *outside, *inside, into.filter_mode, number, managed=1)
        modes.append(into.filter_mode)
    # What an ALG asked for is open to nobody but through a pinhole.
    assert modes == [EVERYBODY, FilterMode.ADDRESS_AND_PORT]


def test_who_shares_an_outside_endpoint_is_not_found_by_it() -> None:
    parts = Parts()
    shared = bound(parts, 500, share=True)
    assert [type(entry) for entry in parts.mappings.entries(shared)] == [t.MapOut]


def test_static_mappings_are_not_written_and_not_forgotten() -> None:
    parts = Parts()
    static = parts.bindings.add_static(TCP, INSIDE, 21, SERVER, 21, NOW)
    assert isinstance(static, Binding)
    assert parts.mappings.writes(static) == []
    assert parts.mappings.release_if_unused(static, NOW) == []
    assert parts.mappings.inside_endpoint(TCP, SERVER, 21) is static


def test_a_binding_is_written_once() -> None:
    parts = Parts()
    binding = bound(parts)
    written = parts.mappings.writes(binding)
    assert written == [Update(Op.INSERT, entry) for entry in parts.mappings.entries(binding)]
    assert parts.mappings.writes(binding) == []


def test_a_binding_goes_with_the_last_that_uses_it() -> None:
    parts = Parts()
    binding = bound(parts)
    parts.mappings.writes(binding)
    binding.sessions, binding.reservations = 1, 1
    assert parts.mappings.release_if_unused(binding, NOW) == []
    binding.sessions = 0
    assert parts.mappings.release_if_unused(binding, NOW) == []
    binding.reservations = 0
    gone = parts.mappings.release_if_unused(binding, NOW)
    assert gone == [Update(Op.DELETE, entry) for entry in parts.mappings.entries(binding)]
    assert parts.mappings.release_if_unused(binding, NOW) == []
    assert len(parts.bindings) == 0


def test_a_binding_that_was_never_written_is_not_deleted() -> None:
    parts = Parts()
    assert parts.mappings.release_if_unused(bound(parts), NOW) == []
    assert len(parts.bindings) == 0


def test_a_binding_that_took_the_place_of_another_is_not_mistaken_for_it() -> None:
    parts = Parts()
    old = bound(parts)
    assert parts.mappings.drop_if_unused(old, NOW)
    new = bound(parts)
    assert not parts.mappings.drop_if_unused(old, NOW)
    assert parts.bindings.outbound(UDP, INSIDE, 5000) is new


def test_what_the_switch_refused_is_forgotten_or_written_for_who_still_needs_it() -> None:
    parts = Parts()
    parts.subscribe()
    unused, used = bound(parts), bound(parts, 5001)
    for binding in (unused, used):
        parts.mappings.writes(binding)
    used.sessions = 1
    parts.mappings.lost(unused, NOW)
    assert parts.bindings.outbound(UDP, INSIDE, 5000) is None
    assert parts.answer() == []
    parts.mappings.lost(used, NOW)
    assert [update.entry for update in updates(parts.answer())] == [*parts.mappings.entries(used)]
    assert used.is_in_switch


def test_what_the_switch_refused_after_it_had_been_released_is_not_written_again() -> None:
    parts = Parts()
    parts.subscribe()
    binding = bound(parts)
    parts.mappings.writes(binding)
    # Its flow ends before the switch has answered.
    assert parts.mappings.release_if_unused(binding, NOW)
    parts.mappings.lost(binding, NOW)
    assert parts.answer() == []
    assert not binding.is_in_switch
