"""The sections `services` and `algs`."""

from __future__ import annotations

import pytest

from p4alg.alg import registry
from p4alg.alg.descriptor import Alg, Option
from p4alg.config.services import (
    MAX_SERVICES,
    Services,
    predefined,
    read_algs,
    read_profile,
    read_services,
)
from p4alg.config.source import Item
from p4alg.engine.settings import AlgSettings, PortSpan
from p4alg.protocols import TCP, UDP
from tests.unit.config.reading import refusal, section
from tests.unit.engine.parts import toy

OPTIONS = (
    Option("loud", False, "a flag"),
    Option("count", 5, "a number", low=1, high=9),
    Option("share", 0.5, "a fraction", low=0.0, high=1.0),
    Option("word", "soft", "a word", choices=("soft", "hard")),
)
ALGS = {
    "toy": toy(services=((UDP, 7777), (TCP, 7777)), options=OPTIONS),
    "other": toy(name="other", services=((TCP, 8000),), is_on=False, alg_id=201),
}
PREDEFINED: Services = {
    "toy": (PortSpan(UDP, 7777, 7777), PortSpan(TCP, 7777, 7777)),
    "other": (PortSpan(TCP, 8000, 8000),),
}
SERVICES: Services = {
    **PREDEFINED,
    "more": (PortSpan(TCP, 7778, 7780),),
    "wide": (PortSpan(TCP, 7000, 9000),),
}


def services(item: Item) -> Services:
    return read_services(item, ALGS)


def algs(item: Item | None) -> dict[str, AlgSettings]:
    return {made.name: made for made in read_algs(item, SERVICES, ALGS)}


def test_each_ALG_has_a_service_of_its_name() -> None:
    assert predefined(ALGS) == PREDEFINED
    assert read_services(None, ALGS) == PREDEFINED


def test_services_of_ones_own_are_added() -> None:
    assert services(section("more: [tcp/7778-7780]\nboth: [udp/1, tcp/65535]\n")) == {
        **PREDEFINED,
        "more": (PortSpan(TCP, 7778, 7780),),
        "both": (PortSpan(UDP, 1, 1), PortSpan(TCP, 65535, 65535)),
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("toy: [tcp/1]", "1: service 'toy' is predefined: choose another name"),
        ("a: []", "1: service 'a' has no ports"),
        ("a: [tcp/0]", "1: 'tcp/0': ports are 1..65535"),
        ("a: [tcp/9-8]", "1: 'tcp/9-8': ports are 1..65535"),
        ("a: [tcp/70000]", "1: 'tcp/70000': ports are 1..65535"),
        ("a: [sctp/1]", "1: 'sctp/1' is not PROTOCOL/PORT"),
        ("a: [21]", "1: expected text"),
        ("a: tcp/1", "1: expected a list"),
    ],
)
def test_a_wrong_service_is_refused(text: str, reason: str) -> None:
    assert refusal(services, text).startswith(reason)


def test_services_are_bounded() -> None:
    text = "".join(f"s{n}: [tcp/1]\n" for n in range(MAX_SERVICES))
    assert refusal(services, text).endswith(f": more than {MAX_SERVICES} services")


def test_an_ALG_that_is_not_mentioned_is_as_its_descriptor_says() -> None:
    assert algs(None) == {
        "toy": AlgSettings(ALGS["toy"], True, ("toy",)),
        "other": AlgSettings(ALGS["other"], False, ("other",)),
    }


def test_what_is_configured_of_an_ALG_is_read() -> None:
    text = """\
toy: {services: [more, toy], loud: true, count: 9, share: 1, word: hard}
other: {enabled: true, services: []}
"""
    made = algs(section(text))
    assert made["toy"].services == ("more", "toy")
    assert made["toy"].options == {"loud": True, "count": 9, "share": 1.0, "word": "hard"}
    assert isinstance(made["toy"].options["share"], float)
    assert (made["other"].enabled, made["other"].services) == (True, ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("smtp: {}", "1: unknown key 'smtp' (known: other, toy)"),
        ("toy: {enabled: 1}", "1: expected true or false"),
        ("toy: {quiet: true}", "1: unknown key 'quiet'"),
        ("other: {loud: true}", "1: unknown key 'loud'"),
        ("toy: {loud: 1}", "1: expected true or false"),
        ("toy: {count: 10}", "1: 10 is not in 1..9"),
        ("toy: {count: 1.5}", "1: expected a whole number"),
        ("toy: {share: 1.5}", "1: 1.5 is not in 0.0..1.0"),
        ("toy: {word: loud}", "1: 'loud' is not one of soft, hard"),
        ("toy: {services: [toy, toy]}", "1: 'toy' names a service twice"),
        ("toy: {services: [nosuch]}", "1: no service 'nosuch' (known: toy, other, more, wide)"),
        (
            "toy: {}\nother: {services: [wide]}",
            "2: 'other' (service 'wide') and 'toy' (service 'toy') both claim tcp/7000-9000",
        ),
        (
            "toy: {services: [wide]}",
            "1: 'other' (service 'other') and 'toy' (service 'wide') both claim tcp/8000",
        ),
    ],
)
def test_a_wrong_ALG_is_refused(text: str, reason: str) -> None:
    assert refusal(algs, text).startswith(reason)


def test_an_ALG_of_somebody_elses_is_read_like_our_own() -> None:
    third: dict[str, Alg] = {"third": toy(name="third", services=((UDP, 9),))}
    known = read_services(None, third)
    (made,) = read_algs(section("third: {enabled: false}"), known, third)
    assert (made.name, made.enabled, made.services) == ("third", False, ("third",))


def test_services_that_share_no_port_may_be_chosen_side_by_side() -> None:
    made = algs(section("toy: {services: [more, toy]}\nother: {services: [other]}"))
    assert (made["toy"].services, made["other"].services) == (("more", "toy"), ("other",))


def test_the_profile_says_which_ALGs_are_on_where_nothing_is_said_of_them() -> None:
    """RFC 5382 REQ-6: no ALG but FTP is on by default."""
    known = registry.algs()
    rfc = read_profile(section("rfc"), known)
    assert {name for name, alg in rfc.items() if alg.is_on} == {"ftp"}
    assert read_profile(section("default"), known) == read_profile(None, known) == known
    wrong = refusal(lambda item: read_profile(item, known), "x")
    assert wrong == "1: 'x' is not one of default, rfc"
    chosen = read_algs(section("sip: {enabled: true}"), read_services(None, rfc), rfc)
    assert [alg.name for alg in chosen if alg.enabled] == ["ftp", "sip"]
