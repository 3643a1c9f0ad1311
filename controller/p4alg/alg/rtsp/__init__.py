"""The RTSP ALG: ports of SETUP, and the media that both ends agree on (RFC 2326)."""

from __future__ import annotations

import re

from p4alg.alg.contract import TCP, SessionFacts
from p4alg.alg.descriptor import Alg, Context, Option
from p4alg.alg.rtsp.alg import RtspAlg
from p4alg.alg.rtsp.limits import RtspLimits

_FOLLOW_SOURCE = Option(
    "follow_source", False, "let media in from the host that a server names as its source"
)

_SECRETS = re.compile(
    rb"^(?:proxy-)?authorization[ \t]*:[ \t]*((?:[^\n]|\n[ \t])+)"
    rb"|rtsps?://[^\s/:@]*:([^\s/@]+)@",
    re.IGNORECASE | re.MULTILINE,
)
"""Credentials of a request, and passwords in URLs."""


def _make(facts: SessionFacts, context: Context) -> RtspAlg:
    limits = RtspLimits(message=max(RtspLimits().message, context.message))
    return RtspAlg(facts, limits, follow_source=bool(context.options[_FOLLOW_SOURCE.name]))


ALG = Alg(
    "rtsp",
    "Real Time Streaming Protocol and its media (RFC 2326)",
    services=((TCP, 554),),
    make=_make,
    alg_id=6,
    secrets=_SECRETS,
    is_on=False,
    options=(_FOLLOW_SOURCE,),
    message=RtspLimits().message,
)
