"""Collects the facts of this machine. What it makes to try the kernel is gone at once."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from p4alg.doctor.facts import Attempt, Compiler, Machine, Package, Program

_SECONDS = 20.0
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21}
"""Bits of capabilities(7)."""
_PIN = re.compile(r"([\w.-]+)==([\w.]+)$")
_VERSION = re.compile(r"\d+(\.\d+)+[\w.-]*")
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronized."""
_TIMEX_BYTES = 256
"""More than `struct timex` has on any machine."""
# Its network namespace ends with the command, and takes the interfaces with it.
_PAIR = "ip link add p4alg0 type veth peer name p4alg1"
_VLAN = f"{_PAIR} && ip link add link p4alg0 name p4alg2 type vlan id 5"
# Name, arguments for its version, what it is for, Debian's package, whether labs need it.
_PROGRAMS = (
    ("ip", ("-V",), "labs need it", "iproute2", True),
    ("ethtool", ("--version",), "labs need it", "ethtool", True),
    ("simple_switch_grpc", ("--version",), "only for --target bmv2", "behavioral-model", False),
    ("p4c-bm2-ss", ("--version",), "only to compile the P4 program", "p4c", False),
)


def machine(compiler: Callable[[], Compiler]) -> Machine:
    """The facts of this machine. `compiler` tries that of the embedded switch."""
    capabilities = _capabilities()
    admin = {"CAP_SYS_ADMIN", "CAP_NET_ADMIN"} <= capabilities and bool(shutil.which("ip"))
    namespaces = _try("unshare", "-n", "sh", "-c", _PAIR) if admin else None
    works = namespaces is not None and not namespaces.error
    return Machine(
        python=platform.python_version(),
        packages=_packages(),
        compiler=compiler(),
        root=os.geteuid() == 0,
        capabilities=capabilities,
        packet_sockets=_packet_socket(),
        namespaces=namespaces,
        vlans=_try("unshare", "-n", "sh", "-c", _VLAN) if works else None,
        huge_pages=_huge_pages(),
        clock_set=_clock_set(),
        programs=tuple(_program(*row) for row in _PROGRAMS),
    )


def _packages() -> tuple[Package, ...]:
    found = []
    for line in metadata.requires("p4alg") or ():
        requirement, _, marker = line.partition(";")
        pin = _PIN.match(requirement.strip())
        # What is optional says so when it is used.
        if pin is not None and "extra" not in marker:
            try:
                version = metadata.version(pin[1])
            except metadata.PackageNotFoundError:
                version = None
            found.append(Package(pin[1], pin[2], version))
    return tuple(found)


def _capabilities() -> frozenset[str]:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    mask = int(line.split()[1], 16)
    return frozenset(name for name, bit in _CAPABILITIES.items() if mask >> bit & 1)


def _packet_socket() -> Attempt | None:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        return None
    except OSError as error:
        return Attempt(error.strerror or str(error))
    return Attempt()


def _try(*command: str) -> Attempt:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Attempt(f"cannot run {command[0]}: {error}")
    if done.returncode == 0:
        return Attempt()
    return Attempt((done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1])


def _huge_pages() -> str | None:
    try:
        text = _HUGE_PAGES.read_text(encoding="utf-8")
    except OSError:
        return None
    return text.partition("[")[2].partition("]")[0] or None


def _clock_set() -> bool:
    answer: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return answer != _TIME_ERROR


def _program(
    name: str, arguments: tuple[str, ...], use: str, package: str, required: bool
) -> Program:
    version = None
    path = shutil.which(name)
    if path is not None:
        try:
            done = subprocess.run(
                [path, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            version = "cannot be run"
        else:
            number = _VERSION.search(done.stdout + done.stderr)
            version = number[0] if number else "version not told"
    return Program(name, use, package, version, required)
