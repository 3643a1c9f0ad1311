"""The FTP ALG: data connections announced by PORT, EPRT, 227 and 229 (RFC 959, 2428, 4217)."""

from __future__ import annotations

import re

from p4alg.alg.contract import TCP, SessionFacts
from p4alg.alg.descriptor import Alg, Context
from p4alg.alg.ftp.alg import FtpAlg, FtpLimits


def _make(facts: SessionFacts, context: Context) -> FtpAlg:
    limits = FtpLimits(line=context.message, pinhole_lifetime=context.pinhole_lifetime)
    return FtpAlg(facts, limits)


ALG = Alg(
    "ftp",
    "File Transfer Protocol, active and passive (RFC 959, 2428)",
    services=((TCP, 21),),
    make=_make,
    alg_id=1,
    is_on_by_rfc=True,
    secrets=re.compile(rb"^(?:PASS|ACCT|ADAT|SITE +PSWD) +([^\r\n]+)", re.I | re.M),
)
