"""The sections `timers` and `limits`."""

from __future__ import annotations

from dataclasses import fields

import pytest

from p4alg.config.tuning import read_limits, read_timers
from p4alg.engine.settings import Limits, Timers
from p4alg.p4constants import SIZE_MAPPING, SIZE_PINHOLE, SIZE_SESSION
from tests.unit.config.reading import refusal, section


def test_what_is_not_configured_has_its_default() -> None:
    assert read_timers(None) == Timers()
    assert read_limits(None) == Limits()


def test_every_timer_can_be_configured() -> None:
    names = [field.name for field in fields(Timers)]
    text = "".join(f"{name}: {n + 2}\n" for n, name in enumerate(names))
    assert read_timers(section(text)) == Timers(*(float(n + 2) for n in range(len(names))))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("udp: 0", "1: 0 is not in 1.0..604800.0"),
        ("udp: 604801", "1: 604801 is not in"),
        ("udp: .nan", "1: nan is not in"),
        ("udp: .inf", "1: inf is not in"),
        ("udp: soon", "1: expected a number"),
        ("upd: 9", "1: unknown key 'upd'"),
        ("port_rest: -1", "1: -1 is not in 0.0.."),
    ],
)
def test_a_wrong_timer_is_refused(text: str, reason: str) -> None:
    assert refusal(read_timers, text).startswith(reason)


def test_N6888_8_ports_need_not_rest() -> None:
    assert read_timers(section("port_rest: 0")).port_rest == 0.0


def test_every_limit_can_be_configured() -> None:
    wanted = {
        field.name: 100 if not field.name.startswith("pinhole_") else 100.0
        for field in fields(Limits)
    }
    text = "".join(f"{name}: {value}\n" for name, value in wanted.items())
    limits = read_limits(section(text))
    assert {field.name: getattr(limits, field.name) for field in fields(Limits)} == wanted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sessions: 0", f"1: 0 is not in 1..{SIZE_SESSION}"),
        (f"sessions: {SIZE_SESSION + 1}", f"1: {SIZE_SESSION + 1} is not in 1..{SIZE_SESSION}"),
        (f"bindings: {SIZE_MAPPING + 1}", "1: "),
        (f"pinholes: {SIZE_PINHOLE + 1}", "1: "),
        ("sessions: 1.5", "1: expected a whole number"),
        ("nosuch: 1", "1: unknown key 'nosuch'"),
        (
            "bindings: 10\nbindings_per_subscriber: 11",
            "2: bindings_per_subscriber is above bindings (10)",
        ),
        (
            "pinholes: 10\npinholes_per_control: 11",
            "2: pinholes_per_control is above pinholes (10)",
        ),
        (
            "pinhole_lifetime: 60\npinhole_longest: 30",
            "1: pinhole_lifetime is above pinhole_longest (30)",
        ),
        ("pinhole_longest: 30", "1: pinhole_lifetime is above pinhole_longest (30)"),
        ("pinhole_lifetime: 0.5", "1: 0.5 is not in 1.0..3600.0"),
    ],
)
def test_a_wrong_limit_is_refused(text: str, reason: str) -> None:
    assert refusal(read_limits, text).startswith(reason)


def test_a_default_share_gives_way_to_a_smaller_whole() -> None:
    limits = read_limits(section("bindings: 10\nsessions: 20\npinholes: 5\n"))
    assert (limits.bindings_per_subscriber, limits.sessions_per_subscriber) == (10, 20)
    assert (limits.pinholes_per_subscriber, limits.pinholes_per_control) == (5, 5)
