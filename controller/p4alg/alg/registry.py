"""The ALGs there are, by name: their identity, default services and how one is made.

A new stream ALG is added here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from p4alg.alg.contract import AlgInfo, SessionFacts, StreamAlg
from p4alg.alg.ftp import FTP, FtpAlg, FtpLimits


@dataclass(frozen=True, slots=True)
class StreamAlgKind:
    """An ALG on TCP control connections.

    `default_ports` are (IP protocol, port) pairs of the predefined service that
    has the ALG's name. `make` makes the machine of one connection from its
    facts, the ports no pinhole may point to, the longest message in bytes and
    the seconds an unused pinhole lives.
    """

    info: AlgInfo
    default_ports: tuple[tuple[int, int], ...]
    make: Callable[[SessionFacts, frozenset[int], int, float], StreamAlg]


def _ftp(facts: SessionFacts, denied: frozenset[int], message: int, lifetime: float) -> StreamAlg:
    return FtpAlg(facts, denied, FtpLimits(line=message, pinhole_lifetime=lifetime))


STREAM_ALGS: Mapping[str, StreamAlgKind] = {
    "ftp": StreamAlgKind(FTP, ((6, 21),), _ftp),
}
