"""What is said of given facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p4alg.doctor.facts import (
    Attempt,
    Compiler,
    Gateway,
    Interface,
    Link,
    Machine,
    Package,
    Program,
    Socket,
    Space,
)
from p4alg.doctor.rules import Finding, Verdict, judge_gateway, judge_machine

SOUND = Machine(
    python="3.11.2",
    packages=(Package("finsy", "0.30.0", "0.30.0"),),
    compiler=Compiler("cc 12.2.0", cache="/root/.cache/p4alg"),
    root=True,
    capabilities=frozenset({"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN"}),
    packet_sockets=Attempt(),
    namespaces=Attempt(),
    vlans=Attempt(),
    huge_pages="madvise",
    clock_set=True,
    programs=(Program("ip", "labs need it", "iproute2", "6.1.0", True),),
)
ONE = Interface(1, "eth1")
GATEWAY = Gateway(
    config="gateway.yaml",
    ports=frozenset({1}),
    interfaces=(ONE,),
    socket=Socket("/run/p4alg/control.sock", "answers"),
    link=Link("unix:/run/p4alg/p4runtime.sock"),
    space=Space("/var/lib/p4alg", 1 << 33, 1 << 20, True),
)


def verdicts(findings: list[Finding]) -> set[Verdict]:
    return {finding.verdict for finding in findings}


def only(findings: list[Finding]) -> Finding:
    """The one that is not in order. It says what to do, and those in order do not."""
    assert all(bool(f.advice) == (f.verdict is not Verdict.OK) for f in findings)
    (found,) = [finding for finding in findings if finding.verdict is not Verdict.OK]
    return found


def test_nothing_is_said_against_what_is_in_order() -> None:
    assert verdicts([*judge_machine(SOUND), *judge_gateway(GATEWAY)]) == {Verdict.OK}


@pytest.mark.parametrize(
    ("facts", "verdict", "about", "text", "advice"),
    [
        (replace(SOUND, python="3.9.2"), "fail", "python", "3.9.2", "3.11"),
        (
            replace(SOUND, packages=(Package("finsy", "0.30.0", None),)),
            *("fail", "packages", "finsy is missing", "finsy==0.30.0"),
        ),
        (
            replace(SOUND, packages=(Package("finsy", "0.30.0", "0.29.0"),)),
            *("warn", "packages", "0.29.0", "finsy==0.30.0"),
        ),
        (
            replace(SOUND, compiler=Compiler(error="no C compiler; install one")),
            *("fail", "compiler", "no C compiler", "install one"),
        ),
        (
            replace(SOUND, compiler=Compiler(error="the C compiler cc failed: no stdint.h")),
            *("fail", "compiler", "no stdint.h", "libc6-dev"),
        ),
        (
            replace(SOUND, compiler=Compiler("cc 12", kept=False)),
            *("warn", "compiler", "cannot be kept", "P4ALG_CACHE"),
        ),
        (replace(SOUND, capabilities=frozenset()), "warn", "rights", "neither", "sudo"),
        (
            replace(SOUND, root=False, capabilities=frozenset({"CAP_NET_RAW"})),
            *("warn", "rights", "not for labs", "sudo"),
        ),
        (
            replace(SOUND, packet_sockets=Attempt("Address family not supported")),
            *("fail", "packet sockets", "not supported", "af_packet"),
        ),
        (
            replace(SOUND, namespaces=Attempt("Operation not permitted")),
            *("fail", "namespaces", "not permitted", "kernel"),
        ),
        (replace(SOUND, huge_pages="never"), "warn", "huge pages", "slower", "madvise"),
        (replace(SOUND, clock_set=False), "warn", "clock", "nothing", "NTP"),
        (
            replace(SOUND, programs=(Program("ip", "labs need it", "iproute2", None, True),)),
            *("fail", "ip", "not on PATH", "install iproute2"),
        ),
    ],
)
def test_what_is_wrong_with_a_machine_is_said_with_what_to_do(
    facts: Machine, verdict: str, about: str, text: str, advice: str
) -> None:
    found = only(list(judge_machine(facts)))
    assert (found.verdict, found.about) == (verdict, about)
    assert text in found.text
    assert advice in found.advice


def test_what_cannot_be_tried_or_is_for_few_is_nothing_to_warn_of() -> None:
    few = Program("p4c-bm2-ss", "only to compile the P4 program", "p4c", None, False)
    untried = replace(SOUND, packet_sockets=None, namespaces=None, vlans=None, huge_pages=None)
    assert verdicts(list(judge_machine(replace(untried, programs=(few,))))) == {Verdict.OK}
    # A lab tags frames itself where the kernel cannot.
    assert verdicts(list(judge_machine(replace(SOUND, vlans=Attempt("Unknown"))))) == {Verdict.OK}


def with_interface(**changes: object) -> Gateway:
    return replace(GATEWAY, interfaces=(replace(ONE, **changes),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "verdict", "about", "text", "advice"),
    [
        (with_interface(exists=False), "fail", "port 1", "no interface eth1", "ip link"),
        (with_interface(up=False), "fail", "port 1", "down", "ip link set eth1 up"),
        (
            with_interface(up=False, within="p4alg lab exec switch -- "),
            *("fail", "port 1", "down", "p4alg lab exec switch -- ip link set eth1 up"),
        ),
        (
            with_interface(merging=("gro", "lro")),
            *("fail", "port 1", "gro, lro", "ethtool -K eth1 gro off lro off"),
        ),
        (with_interface(merging=None), "warn", "port 1", "not looked at", "ethtool"),
        (with_interface(carrier=False), "warn", "port 1", "no carrier", "plug it in"),
        (
            with_interface(addresses=("10.0.0.1/24",)),
            *("warn", "port 1", "10.0.0.1/24", "ip addr flush dev eth1"),
        ),
        (
            replace(GATEWAY, ports=frozenset({1, 2})),
            *("fail", "port 2", "not of the switch", "-i 2@INTERFACE"),
        ),
        (
            replace(GATEWAY, interfaces=(ONE, Interface(3, "eth3"))),
            *("warn", "port 3", "in no zone", "zone"),
        ),
        (
            replace(GATEWAY, error="gateway.yaml:3: no"),
            *("fail", "configuration", "gateway.yaml:3: no", "correct"),
        ),
        (
            replace(GATEWAY, link=Link("h:1", error="h:1: gone; start the switch")),
            *("fail", "switch", "h:1: gone", "start the switch"),
        ),
        (
            replace(GATEWAY, link=Link("h:1", error="h:1: no answer in 5 s")),
            *("fail", "switch", "no answer", "switch.grpc"),
        ),
        (
            replace(GATEWAY, link=Link("h:1", error="h:1: gone", start="p4alg lab restart s1")),
            *("fail", "switch", "h:1: gone", "p4alg lab restart s1"),
        ),
        (replace(GATEWAY, link=Link("h:1", program="other")), "fail", "program", "not", "restart"),
        (replace(GATEWAY, link=Link("h:1", program="older")), "warn", "program", "another", "push"),
        (replace(GATEWAY, link=Link("h:1", program="none")), "warn", "program", "none", "start"),
        (replace(GATEWAY, socket=Socket("/s", "absent")), "warn", "control", "/s", "p4alg run"),
        (replace(GATEWAY, socket=Socket("/s", "stale")), "warn", "control", "gone", "p4alg run"),
        (replace(GATEWAY, socket=Socket("/s", "silent")), "fail", "control", "answer", "restart"),
        (replace(GATEWAY, socket=Socket("/s", "denied")), "warn", "control", "permission", "sudo"),
        (replace(GATEWAY, socket=Socket("/s", "file")), "fail", "control", "socket", "remove /s"),
        (
            replace(GATEWAY, socket=Socket("/s", "answers", 0o666)),
            *("fail", "control", "mode 666", "chmod 600 /s"),
        ),
        (
            replace(GATEWAY, space=Space("/v", 1 << 25, 999, True)),
            "warn",
            "state",
            "32 MiB",
            "room",
        ),
        (replace(GATEWAY, space=Space("/v", 1 << 16, 999, True)), "fail", "state", "0 MiB", "room"),
        (
            replace(GATEWAY, space=Space("/v", 1 << 33, 3, True)),
            "fail",
            "state",
            "3 inodes",
            "room",
        ),
        (replace(GATEWAY, space=Space("/v", 1 << 33, None, False)), "fail", "state", "/v", "owner"),
    ],
)
def test_what_is_wrong_with_a_gateway_is_said_with_what_to_do(
    facts: Gateway, verdict: str, about: str, text: str, advice: str
) -> None:
    found = only(list(judge_gateway(facts)))
    assert (found.verdict, found.about) == (verdict, about)
    assert text in found.text
    assert advice in found.advice


def test_ports_are_not_compared_with_a_configuration_that_cannot_be_read() -> None:
    broken = replace(GATEWAY, error="gateway.yaml:3: no", ports=frozenset())
    assert [f.about for f in judge_gateway(broken)].count("port 1") == 1


def test_what_is_not_known_of_a_gateway_is_not_said() -> None:
    assert list(judge_gateway(Gateway())) == []
