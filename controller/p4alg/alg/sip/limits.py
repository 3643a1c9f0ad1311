"""What the SIP ALG is configured with: sizes, numbers, times and choices.

Every one is a bound on what a peer can make the gateway do; at a bound the new
is refused and the old kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Candidates(Enum):
    """What becomes of the ICE candidates (RFC 8839) an inside host announces."""

    REMOVE = "remove"
    """They go: the peers fall back to what c= and m= say, which the ALG keeps right."""
    REWRITE = "rewrite"
    """Those that name a port of the stream are translated, the others go."""


@dataclass(frozen=True, slots=True)
class SipLimits:
    """Sizes in bytes, and how many of each thing there may be.

    `message`, `line` and `headers` bound one message; `values` the addresses in
    it (Via, Contact, Route and the like); `media`, `sdp_lines`, `parts` and
    `depth` its body. `calls` and the rest bound the tables of the whole gateway,
    with `_per_host` for one inside host.
    """

    message: int = 16384
    line: int = 4096
    headers: int = 128
    values: int = 64
    media: int = 8
    sdp_lines: int = 512
    parts: int = 8
    depth: int = 2
    calls: int = 4096
    calls_per_host: int = 1024
    dialogs: int = 8
    registrations: int = 8192
    registrations_per_host: int = 256
    transactions: int = 16384
    transactions_per_host: int = 4096
    resources: int = 65536
    sources: int = 8192


@dataclass(frozen=True, slots=True)
class SipTimers:
    """Times in seconds.

    `transaction` is 64*T1 of RFC 3261 section 17; `ringing` is its timer C with
    a margin, begun again by each provisional response. `media_wait` is how long
    a media pinhole waits for its first packet, `media_idle` how long media may
    be silent, and `hold` how long a call on hold keeps its pinholes. `call` and
    `registration` are upper limits, whatever the peers agree on;
    `signalling_idle` is how long an outside port for signalling stays without use.
    """

    transaction: float = 32.0
    ringing: float = 200.0
    media_wait: float = 300.0
    media_idle: float = 120.0
    hold: float = 3600.0
    call: float = 43200.0
    registration: float = 86400.0
    signalling_idle: float = 600.0


@dataclass(frozen=True, slots=True)
class SipFlood:
    """Flood limits: so many new ones a source within `window` seconds.

    An INVITE that was rejected `rejections` times within `rejection_window`
    seconds is dropped for `rejection_block` seconds.
    """

    window: float = 10.0
    calls: int = 2000
    registrations: int = 500
    rejections: int = 5
    rejection_window: float = 60.0
    rejection_block: float = 30.0


@dataclass(frozen=True, slots=True)
class SipSettings:
    """All of it, with the choices.

    `inbound_from_anyone` lets hosts call in that are no registrar or proxy of
    the inside host, as a phone system behind a static mapping needs.
    """

    limits: SipLimits = field(default_factory=SipLimits)
    timers: SipTimers = field(default_factory=SipTimers)
    flood: SipFlood = field(default_factory=SipFlood)
    candidates: Candidates = Candidates.REMOVE
    inbound_from_anyone: bool = False
