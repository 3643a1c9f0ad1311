"""The SIP ALG: registrations, calls and their media through NAT (RFC 3261, 3264, 4566)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from p4alg.alg.contract import TCP, UDP, DatagramAlg, SessionFacts, StreamAlg
from p4alg.alg.descriptor import Alg, Column, Context, Option, View
from p4alg.alg.sip.alg import SipDatagramAlg, SipStreamAlg
from p4alg.alg.sip.calls import SipCalls
from p4alg.alg.sip.limits import Candidates, SipFlood, SipLimits, SipSettings

_WINDOW = 10.0
"""Seconds over which the calls and registrations of a source are counted."""
_SECRETS = re.compile(
    rb"^(?:proxy-)?authorization[ \t]*:[ \t]*((?:[^\n]|\n[ \t])+)"
    rb"|^a=crypto:[^\r\n]*?inline:([^\r\n]+)"
    rb"|^(?:k=|a=key-mgmt:|a=ice-pwd:)([^\r\n]+)"
    rb"|sips?:[^\s:@;<>]*:([^\s@;<>]+)@",
    re.IGNORECASE | re.MULTILINE,
)
"""Credentials, keys of SRTP and passwords of ICE in SDP (RFC 4568, 8866, 8839), and passwords in
URIs (RFC 3261 section 19.1.1)."""


def _share(context: Context) -> SipCalls:
    return SipCalls(
        SipSettings(
            candidates=Candidates(context.options["candidates"]),
            inbound_from_anyone=bool(context.options["inbound_from_anyone"]),
            limits=SipLimits(message=max(SipLimits().message, context.message)),
            flood=SipFlood(
                window=_WINDOW,
                calls=int(context.options["calls_per_second"]) * int(_WINDOW),
                registrations=int(context.options["registrations_per_second"]) * int(_WINDOW),
            ),
        )
    )


def _make(facts: SessionFacts, context: Context) -> StreamAlg | DatagramAlg:
    if facts.proto == TCP:
        return SipStreamAlg(facts, context.shared)
    return SipDatagramAlg(facts, context.shared)


def _calls(shared: SipCalls, now: float) -> list[dict[str, object]]:
    return shared.rows(now)


def _end_calls(
    shared: SipCalls, wanted: Callable[[Mapping[str, Any]], bool], now: float
) -> list[int]:
    return shared.end_chosen(wanted, now)


ALG = Alg(
    "sip",
    "Session Initiation Protocol and its media (RFC 3261, 3264, 4566)",
    services=((UDP, 5060), (TCP, 5060)),
    make=_make,
    alg_id=2,
    secrets=_SECRETS,
    options=(
        Option(
            "inbound_from_anyone",
            False,
            "let hosts call in that are no registrar or proxy of the inside host",
        ),
        Option(
            "candidates",
            Candidates.REMOVE.value,
            "what becomes of ICE candidates that an inside host announces",
            choices=tuple(kind.value for kind in Candidates),
        ),
        Option(
            "calls_per_second",
            200,
            "how many calls one source may begin in a second, on the average of ten",
            low=1,
            high=100_000,
        ),
        Option(
            "registrations_per_second",
            50,
            "how many registrations one source may begin in a second, on the average of ten",
            low=1,
            high=100_000,
        ),
    ),
    share=_share,
    message=SipLimits().message,
    outlives=True,
    for_others=True,
    views={
        "calls": View(
            _calls,
            (
                Column("FROM", lambda row: row["from"]),
                Column("TO", lambda row: row["to"]),
                Column("INSIDE", lambda row: row["inside"]),
                Column("STATE", lambda row: row["state"]),
                Column("MEDIA", lambda row: [stream["media"] for stream in row["streams"]]),
                Column("PINHOLES", lambda row: len(row["pinholes"])),
                Column("AGE", lambda row: row["age"]),
            ),
            _end_calls,
        )
    },
)
