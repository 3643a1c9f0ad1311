"""The TFTP ALG: the answer that comes from another port (RFC 1350, 2347-2349)."""

from __future__ import annotations

from p4alg.alg.contract import UDP, SessionFacts
from p4alg.alg.descriptor import Alg, Context
from p4alg.alg.tftp.alg import TftpAlg


def _make(facts: SessionFacts, _context: Context) -> TftpAlg:
    return TftpAlg(facts)


ALG = Alg(
    "tftp",
    "Trivial File Transfer Protocol (RFC 1350, 2347-2349)",
    services=((UDP, 69),),
    make=_make,
    alg_id=3,
)
