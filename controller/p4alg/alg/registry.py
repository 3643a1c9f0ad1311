"""The ALGs there are, by name: their identity, default services and how one is made.

A new ALG is added here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from p4alg.alg.contract import ESP, TCP, UDP, AlgInfo, DatagramAlg, SessionFacts, StreamAlg
from p4alg.alg.ftp.alg import FTP, FtpAlg, FtpLimits
from p4alg.alg.ike.alg import IKE, IkeAlg, IkeExchanges
from p4alg.alg.pptp.alg import PPTP, PptpAlg, PptpLimits
from p4alg.alg.sip.alg import SIP, SipDatagramAlg, SipStreamAlg
from p4alg.alg.sip.calls import SipCalls
from p4alg.alg.sip.limits import SipLimits, SipSettings
from p4alg.alg.tftp.alg import TFTP, TftpAlg


@dataclass(frozen=True, slots=True)
class AlgOptions:
    """What every ALG is told when one is made.

    `denied_ports` are those no pinhole may point to; `message` is the longest
    message in bytes, `pinhole_lifetime` the seconds an unused pinhole lives.
    """

    denied_ports: frozenset[int] = frozenset()
    message: int = 2048
    pinhole_lifetime: float = 60.0
    sip: SipSettings = field(default_factory=SipSettings)
    shared: object = None
    """What all sessions of the ALG have in common; made by `AlgKind.share`."""


@dataclass(frozen=True, slots=True)
class AlgKind:
    """An ALG: `default_ports` are (IP protocol, port) of the predefined service of its name.

    `make` makes the machine of one control session: a `StreamAlg` where its
    protocol is TCP, a `DatagramAlg` where it is UDP. Of `protocols`, which have
    no ports, the ALG gets the packets that the switch does not know. `message` is
    the longest message in bytes on TCP, if it is not the configured limit. What an
    ALG that `outlives` its control sessions opened stays when one of them ends.
    """

    info: AlgInfo
    default_ports: tuple[tuple[int, int], ...]
    make: Callable[[SessionFacts, AlgOptions], StreamAlg | DatagramAlg]
    share: Callable[[AlgOptions], object] = lambda _options: None
    protocols: tuple[int, ...] = ()
    message: int = 0
    outlives: bool = False


def _ftp(facts: SessionFacts, options: AlgOptions) -> StreamAlg:
    limits = FtpLimits(line=options.message, pinhole_lifetime=options.pinhole_lifetime)
    return FtpAlg(facts, options.denied_ports, limits)


def _tftp(facts: SessionFacts, options: AlgOptions) -> DatagramAlg:
    return TftpAlg(facts, options.denied_ports)


def _pptp(facts: SessionFacts, options: AlgOptions) -> StreamAlg:
    limits = PptpLimits(message=options.message, pinhole_lifetime=options.pinhole_lifetime)
    return PptpAlg(facts, limits)


def _ike(facts: SessionFacts, options: AlgOptions) -> DatagramAlg:
    assert isinstance(options.shared, IkeExchanges)
    return IkeAlg(facts, options.shared)


def _sip(facts: SessionFacts, options: AlgOptions) -> StreamAlg | DatagramAlg:
    assert isinstance(options.shared, SipCalls)
    kind = SipStreamAlg if facts.proto == TCP else SipDatagramAlg
    return kind(facts, options.shared)


def _sip_calls(options: AlgOptions) -> SipCalls:
    return SipCalls(replace(options.sip, denied_ports=options.denied_ports))


ALGS: Mapping[str, AlgKind] = {
    "ftp": AlgKind(FTP, ((TCP, 21),), _ftp),
    "sip": AlgKind(
        SIP,
        ((UDP, 5060), (TCP, 5060)),
        _sip,
        share=_sip_calls,
        message=SipLimits().message,
        outlives=True,
    ),
    "tftp": AlgKind(TFTP, ((UDP, 69),), _tftp),
    "pptp": AlgKind(PPTP, ((TCP, 1723),), _pptp),
    "ike": AlgKind(IKE, ((UDP, 500),), _ike, share=lambda _: IkeExchanges(), protocols=(ESP,)),
}
