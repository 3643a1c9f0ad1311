"""What is known of a machine and of a gateway on it. The rules need nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package that p4alg needs in one version."""

    name: str
    wanted: str
    found: str | None
    """None: it is not there."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """The C compiler of the embedded switch, after it has compiled the switch's runtime."""

    version: str = ""
    error: str = ""
    """Why it cannot be used; empty if it can."""
    cache: str = ""
    kept: bool = True
    """Whether the cache stays; if not, every start of a switch compiles anew."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that some uses of p4alg need."""

    name: str
    use: str
    """What it is for."""
    package: str
    """Where it comes from."""
    version: str | None
    """None: it is not on PATH."""
    required: bool
    """Whether labs need it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of trying something of the kernel: `error` is empty if it works."""

    error: str = ""


@dataclass(frozen=True, slots=True)
class Space:
    """Free space of a file system: bytes, and inodes (None where it does not count them)."""

    path: str
    bytes_free: int
    inodes_free: int | None
    writable: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine, for who asks. Attempts are None if they take rights that are not there."""

    python: str
    packages: tuple[Package, ...]
    compiler: Compiler
    root: bool
    capabilities: frozenset[str]
    """The names of the effective ones that matter here, as in capabilities(7)."""
    packet_sockets: Attempt | None
    namespaces: Attempt | None
    """Namespaces of the network, and pairs of veth interfaces in one."""
    vlans: Attempt | None
    huge_pages: str | None
    """What the kernel does with transparent huge pages: always, madvise or never."""
    clock_set: bool
    """Whether something keeps the clock right."""
    programs: tuple[Program, ...]


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that a switch has as one of its ports."""

    port: int
    name: str
    within: str = ""
    """What stands in front of a command that is to be run where it is."""
    exists: bool = True
    up: bool = True
    carrier: bool = True
    addresses: tuple[str, ...] = ()
    """Addresses of this machine on it (IPv4)."""
    merging: tuple[str, ...] | None = ()
    """Offloads that are on and merge frames to larger ones; None: not known (no ethtool)."""


@dataclass(frozen=True, slots=True)
class Socket:
    """The control socket of a controller."""

    path: str
    state: str
    """``absent``, ``answers``, ``stale`` (nobody serves it), ``silent``, ``denied``, ``file``."""
    mode: int = 0o600
    start: str = "p4alg run -c CONFIG"
    """The command that starts the controller."""


@dataclass(frozen=True, slots=True)
class Link:
    """The switch, as it answers at its address."""

    address: str
    error: str = ""
    """Why it cannot be used; empty if it can."""
    start: str = ""
    """The command that starts it, where that is known."""
    program: str = "same"
    """Against ours: ``same``, ``older`` (another version of it), ``other``, ``none``."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway: its configuration, and what is there of switch and controller."""

    config: str = ""
    """The file; empty where there is no controller."""
    error: str = ""
    """Why the file cannot be used. The other facts are then of the defaults."""
    ports: frozenset[int] = frozenset()
    """The ports of its zones."""
    interfaces: tuple[Interface, ...] | None = None
    """None: not known, such as those of a switch elsewhere."""
    socket: Socket | None = None
    link: Link | None = None
    space: Space | None = None
