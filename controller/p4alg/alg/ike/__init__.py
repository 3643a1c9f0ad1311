"""The IKE ALG, and ESP told apart by SPI (RFC 2409, 7296, 4303)."""

from __future__ import annotations

from collections.abc import Mapping

from p4alg.alg.contract import ESP, UDP, SessionFacts
from p4alg.alg.descriptor import Alg, Context, Option, Value
from p4alg.alg.ike.session import IkeSession
from p4alg.alg.ike.shared import IkeShared

PORT = 500
"""RFC 7296 section 2: of both ends, and some gateways insist on it."""


def _share(context: Context) -> IkeShared:
    return IkeShared(require_ike=bool(context.options["require_ike"]))


def _make(facts: SessionFacts, context: Context) -> IkeSession:
    return IkeSession(facts, context.shared)


def _keeps_port(options: Mapping[str, Value], proto: int, client: int, server: int) -> bool:
    return bool(options["keep_port"]) and (proto, client, server) == (UDP, PORT, PORT)


ALG = Alg(
    "ike",
    "Internet Key Exchange and ESP pass-through (RFC 2409, 7296, 4303)",
    services=((UDP, PORT),),
    make=_make,
    alg_id=5,
    options=(
        Option("keep_port", False, "keep source port 500 outside, for several hosts at once"),
        Option("require_ike", True, "let ESP pass only where IKE was spoken before"),
    ),
    share=_share,
    protocols=(ESP,),
    keeps_port=_keeps_port,
)
