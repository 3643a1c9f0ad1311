"""The section `policy`."""

from __future__ import annotations

import pytest

from p4alg.config.policy import MAX_RULES, read_ports, read_rules
from p4alg.engine.settings import Prefix, Rule
from p4alg.engine.tables import PolicyAction, Side
from p4alg.protocols import ESP, ICMP, TCP
from tests.unit.config.reading import refusal, section


def test_rules_are_read_in_order() -> None:
    text = """\
- {action: deny, from: inside, protocol: tcp, destination: 192.0.2.0/24, ports: 25-26}
- {action: exempt, protocol: 50, source: 10.0.0.9/32}
- {action: translate, from: outside, protocol: icmp}
- {action: deny}
"""
    assert read_rules(section(text)) == (
        Rule(PolicyAction.DENY, Side.INSIDE, TCP, None, Prefix(0xC0000200, 24), (25, 26)),
        Rule(PolicyAction.EXEMPT, None, ESP, Prefix(0x0A000009, 32)),
        Rule(PolicyAction.TRANSLATE, Side.OUTSIDE, ICMP),
        Rule(PolicyAction.DENY),
    )
    assert read_rules(None) == ()


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("{from: inside}", "1: 'action' is missing"),
        ("{action: drop}", "1: 'drop' is not one of translate, exempt, deny"),
        ("{action: deny, from: lan}", "1: 'lan' is not one of inside, outside"),
        ("{action: deny, protocol: 256}", "1: 256 is not in 0..255"),
        ("{action: deny, protocol: gre}", "1: 'gre' is not one of icmp, tcp, udp"),
        ("{action: deny, ports: 5}", "1: ports need protocol tcp or udp"),
        ("{action: deny, protocol: 1, ports: 5}", "1: ports need protocol tcp or udp"),
        ("{action: deny, source: 10.0.0.9/24}", "1: '10.0.0.9/24' has host bits set"),
        ("{action: deny, port: 5}", "1: unknown key 'port'"),
    ],
)
def test_a_wrong_rule_is_refused(rule: str, reason: str) -> None:
    assert refusal(read_rules, f"- {rule}").startswith(reason)


def test_rules_are_bounded() -> None:
    text = "- {action: deny}\n" * (MAX_RULES + 1)
    assert refusal(read_rules, text) == f"1: more than {MAX_RULES} rules"


@pytest.mark.parametrize(
    ("text", "ports"),
    [("25", (25, 25)), ("25-26", (25, 26)), ("1-65535", (1, 65535)), ("'7'", (7, 7))],
)
def test_ports_are_one_or_a_range(text: str, ports: tuple[int, int]) -> None:
    assert read_ports(section(text)) == ports


@pytest.mark.parametrize("text", ["0", "65536", "26-25", "1-70000", "-5", "a", "1-2-3", "' 5'"])
def test_what_is_no_range_is_refused(text: str) -> None:
    assert "is not PORT or FIRST-LAST in 1..65535" in refusal(read_ports, text)


@pytest.mark.parametrize("text", ["[25, 26]", "{a: 1}", "5.5", "null"])
def test_what_is_no_port_is_refused_in_words(text: str) -> None:
    assert refusal(read_ports, text) == "1: expected PORT or FIRST-LAST"
