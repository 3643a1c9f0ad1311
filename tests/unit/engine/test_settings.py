"""The small values that settings are made of."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from p4alg.alg.descriptor import Option
from p4alg.engine.settings import AlgSettings, Limits, PortSpan, Prefix, Timers
from p4alg.protocols import TCP, UDP
from tests.unit.engine.harness import settings
from tests.unit.engine.parts import toy


@pytest.mark.parametrize(
    ("prefix", "mask", "inside", "outside"),
    [
        (Prefix(0x0A000000, 24), 0xFFFFFF00, 0x0A0000FF, 0x0A000100),
        (Prefix(0x0A000001, 32), 0xFFFFFFFF, 0x0A000001, 0x0A000000),
        (Prefix(0x80000000, 1), 0x80000000, 0xFFFFFFFF, 0x7FFFFFFF),
    ],
)
def test_a_prefix_holds_the_addresses_that_begin_like_it(
    prefix: Prefix, mask: int, inside: int, outside: int
) -> None:
    assert prefix.mask == mask
    assert inside in prefix
    assert outside not in prefix


def test_the_prefix_of_length_0_holds_everything() -> None:
    assert Prefix(0, 0).mask == 0
    assert all(addr in Prefix(0, 0) for addr in (0, 0xFFFFFFFF))


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (PortSpan(TCP, 21, 21), PortSpan(TCP, 21, 21), True),
        (PortSpan(TCP, 10, 20), PortSpan(TCP, 20, 30), True),
        (PortSpan(TCP, 10, 30), PortSpan(TCP, 15, 20), True),
        (PortSpan(TCP, 10, 20), PortSpan(TCP, 21, 30), False),
        (PortSpan(TCP, 21, 21), PortSpan(UDP, 21, 21), False),
    ],
)
def test_spans_overlap_in_a_port_of_the_same_protocol(
    one: PortSpan, other: PortSpan, overlap: bool
) -> None:
    assert one.overlaps(other) is overlap
    assert other.overlaps(one) is overlap


def test_a_span_is_written_as_in_the_configuration() -> None:
    assert str(PortSpan(TCP, 21, 21)) == "tcp/21"
    assert str(PortSpan(UDP, 5060, 5069)) == "udp/5060-5069"


def test_an_option_that_is_not_configured_has_its_default() -> None:
    alg = toy(options=(Option("loud", False, "says more"), Option("size", 5, "", low=1, high=9)))
    made = AlgSettings(alg, True, ("toy",), {"size": 7})
    assert made.name == "toy"
    assert made.all_options == {"loud": False, "size": 7}
    assert made.options == {"size": 7}


def test_services_are_looked_up_by_name() -> None:
    made = settings()
    spans = [PortSpan(TCP, 2120, 2129), PortSpan(TCP, 21, 21)]
    assert made.spans(["ftp-alt", "ftp"]) == spans
    with pytest.raises(KeyError, match="nosuch"):
        made.spans(["ftp", "nosuch"])


def test_N5382_5_and_N4787_5_the_defaults_are_not_below_those_of_the_RFCs() -> None:
    timers = Timers()
    assert timers.tcp_established >= 2 * 3600 + 4 * 60
    assert timers.tcp_transitory >= 4 * 60
    assert timers.udp >= 2 * 60
    assert timers.icmp >= 60


def test_a_share_is_not_above_the_whole() -> None:
    limits = Limits()
    assert limits.bindings_per_subscriber <= limits.bindings
    assert limits.sessions_per_subscriber <= limits.sessions
    assert limits.pinholes_per_control <= limits.pinholes_per_subscriber <= limits.pinholes
    assert limits.pinhole_lifetime <= limits.pinhole_longest


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        settings().pools = ()  # type: ignore[misc]
