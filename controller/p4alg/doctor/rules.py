"""Judges facts: what is in order, what may be wrong, and what is, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from p4alg.doctor.facts import Gateway, Interface, Link, Machine, Program, Socket, Space

NEEDED_PYTHON = (3, 11)
SCARCE_BYTES, NO_BYTES = 100 << 20, 1 << 20
"""Below these a file system is nearly full, and full."""
FEW_INODES = 100


class Verdict(StrEnum):
    """What is to be thought of something that was looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    about: str
    text: str
    """How it is."""
    advice: str = ""
    """What to do about it; empty if it is in order."""


def judge_machine(facts: Machine) -> Iterator[Finding]:
    """What is to be said of a machine."""
    yield from _python(facts)
    yield _compiler(facts)
    yield from _rights(facts)
    yield from _kernel(facts)
    if facts.clock_set:
        yield _ok("clock", "kept right")
    else:
        yield _warn("clock", "nothing keeps it right, and logs have its time",
                    "install an NTP client, such as systemd-timesyncd")  # fmt: skip
    yield from map(_program, facts.programs)


def judge_gateway(facts: Gateway) -> Iterator[Finding]:
    """What is to be said of a gateway."""
    if facts.error:
        yield _fail("configuration", facts.error, "correct the file")
    elif facts.config:
        yield _ok("configuration", facts.config)
    if facts.interfaces is not None:
        yield from map(_interface, facts.interfaces)
        if facts.config and not facts.error:
            yield from _ports(facts.ports, {one.port for one in facts.interfaces})
    if facts.link is not None:
        yield from _link(facts.link)
    if facts.socket is not None:
        yield _socket(facts.socket)
    if facts.space is not None:
        yield _space(facts.space)


def _ok(about: str, text: str) -> Finding:
    return Finding(Verdict.OK, about, text)


def _warn(about: str, text: str, advice: str) -> Finding:
    return Finding(Verdict.WARN, about, text, advice)


def _fail(about: str, text: str, advice: str) -> Finding:
    return Finding(Verdict.FAIL, about, text, advice)


def _python(facts: Machine) -> Iterator[Finding]:
    needed = ".".join(map(str, NEEDED_PYTHON))
    if tuple(map(int, facts.python.split(".")[:2])) < NEEDED_PYTHON:
        yield _fail("python", facts.python, f"use Python {needed} or newer")
    else:
        yield _ok("python", facts.python)
    wrong = [package for package in facts.packages if package.found != package.wanted]
    for package in wrong:
        advice = f"install {package.name}=={package.wanted}, or p4alg anew"
        if package.found is None:
            yield _fail("packages", f"{package.name} is missing", advice)
        else:
            yield _warn("packages", f"{package.name} is {package.found}, not as tested", advice)
    if not wrong:
        listed = ", ".join(f"{package.name} {package.found}" for package in facts.packages)
        yield _ok("packages", listed)


def _compiler(facts: Machine) -> Finding:
    compiler = facts.compiler
    if compiler.error:
        advice = "on Debian 'apt install gcc libc6-dev'"
        return _fail("compiler", *_parted(compiler.error, advice))
    if not compiler.kept:
        return _warn(
            "compiler", f"{compiler.version}; its results cannot be kept",
            "make ~/.cache writable, or name a folder by P4ALG_CACHE",
        )  # fmt: skip
    return _ok("compiler", f"{compiler.version}, cache {compiler.cache}")


def _rights(facts: Machine) -> Iterator[Finding]:
    if facts.root and "CAP_SYS_ADMIN" in facts.capabilities:
        yield _ok("rights", "root")
    elif "CAP_NET_RAW" in facts.capabilities:
        yield _warn("rights", "enough for a switch, not for labs", "use sudo for 'p4alg lab'")
    else:
        yield _warn("rights", "neither for labs nor for a switch",
                    "use sudo; a switch as a service has CAP_NET_RAW")  # fmt: skip


def _kernel(facts: Machine) -> Iterator[Finding]:
    tried = (
        ("packet sockets", facts.packet_sockets, "a switch needs them: load af_packet"),
        ("namespaces", facts.namespaces, "labs need them: use a kernel or container that has them"),
    )
    for about, attempt, advice in tried:
        if attempt is None:
            continue
        yield _fail(about, attempt.error, advice) if attempt.error else _ok(about, "work")
    if facts.vlans is not None:
        # A lab has a program that tags frames where the kernel cannot.
        yield _ok("vlans", "not in the kernel, a lab's own then" if facts.vlans.error else "work")
    if facts.huge_pages == "never":
        yield _warn("huge pages", "never: a switch with many flows is slower",
                    "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled")  # fmt: skip
    elif facts.huge_pages is not None:
        yield _ok("huge pages", facts.huge_pages)


def _program(program: Program) -> Finding:
    if program.version is not None:
        return _ok(program.name, program.version)
    if program.required:
        return _fail(program.name, f"not on PATH; {program.use}", f"install {program.package}")
    return _ok(program.name, f"not on PATH; {program.use}")


def _interface(one: Interface) -> Finding:
    about = f"port {one.port}"
    if not one.exists:
        return _fail(
            about, f"there is no interface {one.name}", f"correct it; see '{one.within}ip link'"
        )
    if not one.up:
        return _fail(about, f"{one.name} is down", f"{one.within}ip link set {one.name} up")
    if one.merging:
        return _fail(
            about, f"{one.name} makes frames larger than its link ({', '.join(one.merging)})",
            f"{one.within}ethtool -K {one.name} {' '.join(f'{name} off' for name in one.merging)}",
        )  # fmt: skip
    if one.addresses:
        return _warn(
            about, f"{one.name} has {one.addresses[0]}, so this machine answers there too",
            f"{one.within}ip addr flush dev {one.name}",
        )  # fmt: skip
    if not one.carrier:
        return _warn(about, f"{one.name} has no carrier", "plug it in, or start its other end")
    if one.merging is None:
        return _warn(about, f"{one.name}: offloads not looked at", "install ethtool")
    return _ok(about, one.name)


def _ports(zones: frozenset[int], switch: set[int]) -> Iterator[Finding]:
    for port in sorted(zones - switch):
        yield _fail(f"port {port}", "in a zone, but not of the switch",
                    f"give the switch -i {port}@INTERFACE")  # fmt: skip
    for port in sorted(switch - zones):
        yield _warn(f"port {port}", "of the switch, but in no zone: its frames are dropped",
                    "name it in a zone of the configuration")  # fmt: skip


def _link(link: Link) -> Iterator[Finding]:
    if link.error:
        text, advice = _parted(link.error, "start it, or correct switch.grpc")
        yield _fail("switch", text, link.start or advice)
        return
    yield _ok("switch", f"answers at {link.address}")
    if link.program == "other":
        yield _fail("program", "the switch runs one that is not ours",
                    "restart the switch without a program")  # fmt: skip
    elif link.program == "older":
        yield _warn("program", "the switch runs another version of ours",
                    "restart the controller, which pushes its own")  # fmt: skip
    elif link.program == "none":
        yield _warn("program", "the switch has none", "start a controller, which pushes it")
    else:
        yield _ok("program", "that of this p4alg")


def _parted(error: str, advice: str) -> tuple[str, str]:
    """What is wrong, and what to do: errors of the driver have the latter behind a semicolon."""
    text, _, own = error.partition("; ")
    return text, own or advice


def _socket(found: Socket) -> Finding:
    path = found.path
    if found.state == "answers":
        if found.mode & 0o077:
            return _fail("control", f"{path}: mode {found.mode:o}, others can steer the gateway",
                         f"chmod 600 {path}")  # fmt: skip
        return _ok("control", f"a controller answers at {path}")
    findings = {
        "absent": _warn("control", f"no controller at {path}", found.start),
        "stale": _warn("control", f"{path} is left of a controller that is gone",
                       found.start),
        "silent": _fail("control", f"the controller at {path} does not answer",
                        "see its log, and restart it"),
        "denied": _warn("control", f"no permission to use {path}", "use sudo"),
        "file": _fail("control", f"{path} is not a socket", f"remove {path}"),
    }  # fmt: skip
    return findings[found.state]


def _space(space: Space) -> Finding:
    free = f"{space.bytes_free >> 20} MiB free at {space.path}"
    if not space.writable:
        return _fail("state", f"{space.path} cannot be written", "correct its owner, or use sudo")
    few = space.inodes_free is not None and space.inodes_free < FEW_INODES
    if space.bytes_free < NO_BYTES or few:
        what = f"{space.inodes_free} inodes free at {space.path}" if few else free
        return _fail("state", what, "make room: no change can be kept")
    if space.bytes_free < SCARCE_BYTES:
        return _warn("state", free, "make room")
    return _ok("state", free)
