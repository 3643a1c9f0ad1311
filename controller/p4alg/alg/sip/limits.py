"""What the SIP ALG is configured with: sizes, numbers, times and choices.

Each limit bounds what a peer can make the gateway do. When one is reached, what is new is
refused, and what is there already is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Candidates(Enum):
    """What becomes of the ICE candidates (RFC 8839) an inside host announces."""

    REMOVE = "remove"
    """They are removed. The peers then use what the c= and m= lines say, which are translated."""
    REWRITE = "rewrite"
    """Those that name a port of the stream are translated, and the others removed."""


@dataclass(frozen=True, slots=True)
class SipLimits:
    """Sizes in bytes, and how many of each thing there may be.

    Of one message: `message` and `line` are sizes, `headers` the number of headers, and
    `values` that of addresses (Via, Contact, Route and the like). Of its body: `media` and
    `sdp_lines` of one description, `parts` of one multipart body, and their nesting `depth`.
    `dialogs` is the number of branches of one call. The rest bound the tables of the whole
    gateway; those that end in `_per_host` are for one inside host.
    """

    message: int = 65535
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

    `transaction` is 64*T1 of RFC 3261 section 17. `ringing` is timer C of section 16.6 with
    a margin; each provisional response begins it anew. `media_wait` is how long a media
    pinhole waits for its first packet, `media_idle` how long media may be silent, and
    `hold` how long a call on hold keeps its pinholes. `call` and `registration` are upper
    limits, whatever the peers agree on. `signalling_idle` is how long an outside port for
    signalling stays reserved after its last use.
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
    """Flood limits: a source may begin `calls` calls and `registrations` registrations in
    `window` seconds, which is also how long it is told to wait."""

    window: float = 10.0
    calls: int = 2000
    registrations: int = 500


@dataclass(frozen=True, slots=True)
class SipSettings:
    """All settings of the ALG.

    With `inbound_from_anyone` any host may call in. Otherwise only a registrar or proxy of the
    inside host may, which is not enough for a phone system behind a static mapping.
    """

    limits: SipLimits = field(default_factory=SipLimits)
    timers: SipTimers = field(default_factory=SipTimers)
    flood: SipFlood = field(default_factory=SipFlood)
    candidates: Candidates = Candidates.REMOVE
    inbound_from_anyone: bool = False
