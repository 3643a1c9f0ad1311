"""One host sends as fast as it likes; the others keep their share."""

from __future__ import annotations

from attacks.table import Attack, Vacuous, World
from attacks.wire import ADDRESSES, SERVER_OUTSIDE
from peers import floods, flows

_PORT = 7077
_RATE = 2000
_ASKED = 40
_INSIDE = (
    floods.FORGED_NEIGHBOURS,
    floods.FORGED_STRANGERS,
    floods.SYNS,
    floods.FTP_SYNS,
    floods.LATER_FRAGMENTS,
    floods.ARP_QUESTIONS,
)
_OUTSIDE = (floods.RANDOM_ESP, floods.LATER_FRAGMENTS, floods.SYNS, floods.ARP_QUESTIONS)


def _answered() -> int:
    return flows.answered("inside1", ADDRESSES["outside1"], _PORT, _ASKED)


def _floods(host: str, target: str, kinds: tuple[str, ...]) -> list[str]:
    if _answered() < _ASKED:
        raise Vacuous("new flows of inside1 are not even answered without a flood")
    through: list[str] = []
    for kind in kinds:
        with floods.flood(kind, host, target, _RATE):
            good = _answered()
        if good < 0.9 * _ASKED:
            through.append(f"{kind}: {good} of {_ASKED} new flows of inside1 were answered")
    return through


def from_inside(world: World) -> list[str]:
    """2000 packets a second: forged sources, SYNs, later fragments, ARP questions."""
    flows.serve("outside1", _PORT)
    return _floods("inside2", ADDRESSES["outside1"], _INSIDE)


def from_outside(world: World) -> list[str]:
    """2000 packets a second: ESP with random SPIs, later fragments, SYNs, ARP questions."""
    return _floods("outside2", SERVER_OUTSIDE, _OUTSIDE)


ATTACKS = [
    Attack(3, "starvation from inside", "inside host", from_inside),
    Attack(3, "starvation from outside", "outside host", from_outside),
]
