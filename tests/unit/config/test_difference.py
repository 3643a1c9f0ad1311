"""What a change of the configuration does, and what of it needs a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4alg.config.difference import difference
from p4alg.config.editing import set_value
from p4alg.config.loader import read_text

FOLDER = Path(__file__).parents[3] / "topologies"
FILE = Path("c.yaml")


def effects(text: str, *changes: tuple[str, object]) -> list[str]:
    """What changes of values come to."""
    after = text
    for path, value in changes:
        after = set_value(after, path, value)
    return [str(one) for one in difference(read_text(text, FILE), read_text(after, FILE))]


ONE = (FOLDER / "nat.config.yaml").read_text()
SEVERAL = (FOLDER / "tenants.config.yaml").read_text()
RULE = {"action": "deny", "protocol": "tcp", "ports": 25}


@pytest.mark.parametrize(
    ("path", "value", "effect"),
    [
        ("algs.sip.enabled", False, "ALG sip: off; its control sessions go on as plain NAT"),
        ("algs.rtsp.enabled", True, "ALG rtsp: on for new control sessions"),
        (
            "algs.ftp.services",
            ["ftp"],
            "ALG ftp: services ftp, ftp-alt -> ftp; connections that it reads stay with it",
        ),
        ("services.x", ["tcp/1-2", "udp/3"], "service x: none -> tcp/1-2, udp/3"),
        ("policy.+", RULE, "policy and exempt: 0 -> 1 rules, for every packet from now on"),
        ("nat.exempt.+", "192.0.2.0/24", "policy and exempt: 0 -> 2 rules, for every packet"),
        ("denied_ports", ["1-3"], "denied_ports: 0 -> 3 ports, for what is announced"),
        ("refuse", "pass", "refuse: reset -> pass, for new control sessions"),
        (
            "nat.static.+",
            {"protocol": "tcp", "outside": "203.0.113.5:80", "inside": "10.0.0.11:80"},
            "nat.static: tcp 203.0.113.5:80 -> 10.0.0.11:80 added",
        ),
        (
            "nat.static",
            [{"protocol": "tcp", "outside": "203.0.113.5:21", "inside": "10.0.0.11:21"}],
            "nat.static: udp 203.0.113.5:69 -> 10.0.0.11:69 taken away",
        ),
        ("timers.udp", 200, "timers.udp: 300 -> 200 s, from the next packet on"),
        ("timers.neighbour", 20, "timers.neighbour: 60 -> 20 s"),
        ("limits.sessions", 50000, "limits.sessions: 200000 -> 50000"),
        (
            "algs.rtsp.follow_source",
            True,
            "ALG rtsp: follow_source false -> true, for new control sessions",
        ),
    ],
)
def test_what_can_be_changed_while_everything_goes_on(
    path: str, value: object, effect: str
) -> None:
    found = effects(ONE, (path, value))
    assert any(one.startswith(effect) for one in found)
    assert not [one for one in found if "restart" in one]


@pytest.mark.parametrize(
    ("path", "value", "effect"),
    [
        ("switch.device_id", 2, "switch: changed"),
        ("control", {"metrics": "127.0.0.1:9"}, "control: changed"),
        ("zones.inside.mtu", 1400, "zones: changed"),
        ("nat.pools.+", "192.0.2.0/28", "nat.pools: changed"),
        ("nat.blocks", {"size": 1024}, "nat.blocks: changed"),
        (
            "timers.tcp_established",
            9000,
            "timers.tcp_established: 7440 -> 9000 s, from the next packet on",
        ),
        (
            "nat.static.+",
            {"protocol": "tcp", "outside": "192.0.2.5:80", "inside": "10.0.0.11:80"},
            "nat.static: tcp 192.0.2.5:80 -> 10.0.0.11:80 added",
        ),
        (
            "nat.static.+",
            {"outside": "192.0.2.5", "inside": "10.0.0.12"},
            "nat.static: changed",
        ),
        ("timers.port_rest", 9, "timers.port_rest: 120 -> 9 s, from the next packet on"),
        ("limits.punts_per_source", 9, "limits.punts_per_source: 250 -> 9"),
        # The calls that SIP knows of are kept with the options.
        (
            "algs.sip.candidates",
            "rewrite",
            "ALG sip: candidates remove -> rewrite, for new control sessions",
        ),
    ],
)
def test_what_needs_a_restart_says_so(path: str, value: object, effect: str) -> None:
    assert effects(ONE, (path, value)) == [f"{effect} (needs a restart)"]


def test_options_of_an_ALG_with_common_state_change_with_its_being_on() -> None:
    found = effects(ONE, ("algs.sip", {"enabled": False, "candidates": "rewrite"}))
    assert len(found) == 2
    assert not [one for one in found if "restart" in one]


def test_a_profile_switches_ALGs_like_a_hand_does() -> None:
    found = effects(ONE, ("profile", "rfc"))
    off = [one.split(": off;")[0] for one in found if ": off;" in one]
    assert off == ["ALG sip", "ALG tftp", "ALG pptp", "ALG ike"]
    assert len(found) == len(off)


def test_the_same_settings_in_other_words_are_no_change() -> None:
    assert effects(ONE, ("algs.sip.enabled", True), ("timers", {"udp": 300})) == []


def test_of_several_organisations_each_effect_names_whose_it_is() -> None:
    assert effects(SEVERAL, ("organisations.red.algs.sip", {"enabled": False})) == [
        "red: ALG sip: off; its control sessions go on as plain NAT"
    ]
    assert len(effects(SEVERAL, ("refuse", "pass"))) == 2


def test_an_organisation_less_needs_a_restart() -> None:
    one = read_text(ONE, FILE)
    two = read_text(SEVERAL, FILE)
    texts = [str(effect) for effect in difference(one, two)]
    assert "organisations: red is new, blue is new, default is gone (needs a restart)" in texts
