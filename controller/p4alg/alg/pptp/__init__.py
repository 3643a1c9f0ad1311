"""The PPTP ALG: call ids, and the GRE of agreed calls (RFC 2637)."""

from __future__ import annotations

from p4alg.alg.contract import TCP, SessionFacts
from p4alg.alg.descriptor import Alg, Context
from p4alg.alg.pptp.alg import PptpAlg, PptpLimits


def _make(facts: SessionFacts, context: Context) -> PptpAlg:
    limits = PptpLimits(message=context.message, pinhole_lifetime=context.pinhole_lifetime)
    return PptpAlg(facts, limits)


ALG = Alg(
    "pptp",
    "Point-to-Point Tunneling Protocol (RFC 2637)",
    services=((TCP, 1723),),
    make=_make,
    alg_id=4,
)
