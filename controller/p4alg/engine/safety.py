"""The rules that every pinhole and reservation has to keep, whichever ALG asks for it (G7).

This is the only place for these rules. An ALG may check some of them itself, in order to refuse a
message earlier; nothing depends on that. The functions depend on the request and on who asks only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from p4alg.alg.contract import Endpoint, PinholeRequest, SessionFacts
from p4alg.engine.flows import flow_id
from p4alg.engine.settings import Limits, Zone
from p4alg.engine.tables import Side
from p4alg.protocols import TUNNELS

LOWEST_PORT = 1024
"""Lower ports belong to well-known services, which no control protocol needs to announce."""
HIGHEST = 0xFFFF
"""The highest port and call id."""
MOST_FLOWS = 1024
"""The most flows that one pinhole may serve."""
LONGEST_LABEL = 40
"""The most characters of a pinhole's label."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The inside and the remote end of flows: address and identifier. None matches everything."""

    inside: tuple[int, int]
    remote: tuple[int, int | None]


def ends_of(request: PinholeRequest, facts: SessionFacts) -> Ends:
    """The ends of the flows that a request asks for.

    Packets of a tunnel carry only the receiver's identifier; that of the sending end is 0 here.
    """
    listen = (request.listen.addr, flow_id(request.proto, request.listen.port))
    if request.listener is facts.inside:
        opener_id = 0 if request.proto in TUNNELS else request.opener_port
        return Ends(listen, (request.opener_addr, opener_id))
    return Ends((request.opener_addr, 0), listen)


class Safety:
    """The rules, with the limits and denied ports that are configured."""

    def __init__(
        self, limits: Limits, denied_ports: frozenset[int], zones: Sequence[Zone] = ()
    ) -> None:
        self._inside = [zone for zone in zones if zone.side is Side.INSIDE]
        self.configure(limits, denied_ports)

    def configure(self, limits: Limits, denied_ports: frozenset[int]) -> None:
        """Change the limits and denied ports, for all that is asked for from now on."""
        self._longest = limits.pinhole_longest
        self._denied = denied_ports

    def of_endpoint(
        self, proto: int, listen: Endpoint, inside_addr: int, *, for_others: bool = False
    ) -> str:
        """Why the host `inside_addr` may not have `listen` opened; empty if it may.

        With `for_others` it may be that of another host of an inside zone: a proxy that has
        shown its ALG that it speaks for that host (`Alg.for_others`).
        """
        if listen.addr != inside_addr and not (for_others and self._is_inside(listen.addr)):
            return "bounce"
        if proto in TUNNELS:
            return "" if 0 <= listen.port <= HIGHEST else "bad-id"
        if not 1 <= listen.port <= HIGHEST:
            return "bad-id"
        if listen.port < LOWEST_PORT:
            return "low-port"
        return "denied-port" if listen.port in self._denied else ""

    def _is_inside(self, addr: int) -> bool:
        return any(addr in zone.network and addr != zone.addr for zone in self._inside)

    def of_request(
        self, request: PinholeRequest, facts: SessionFacts, *, for_others: bool = False
    ) -> str:
        """Why a request for a pinhole is refused; empty if it is allowed."""
        inside_addr = facts.endpoint(facts.inside).addr
        if request.listener is facts.inside:
            return self.of_endpoint(
                request.proto, request.listen, inside_addr, for_others=for_others
            )
        if request.opener_addr != inside_addr:
            return "bounce"
        if request.proto in TUNNELS:
            return "" if 0 <= request.listen.port <= HIGHEST else "bad-id"
        # The inside host will connect to `listen`. It must not be made to connect to a third
        # host, or to a well-known service.
        if request.listen.addr != facts.endpoint(request.listener).addr:
            return "bounce"
        if not 1 <= request.listen.port <= HIGHEST:
            return "bad-id"
        return "low-port" if request.listen.port < LOWEST_PORT else ""

    def bounded(self, request: PinholeRequest) -> PinholeRequest:
        """The request with its times, its number of flows and its label cut to what is allowed."""
        idle = request.flow_idle
        return replace(
            request,
            lifetime=_within(request.lifetime, 1.0, self._longest),
            flow_idle=None if idle is None else _within(idle, 1.0, self._longest),
            max_flows=int(_within(request.max_flows, 1, MOST_FLOWS)),
            label="".join(c if c.isprintable() else "?" for c in request.label)[:LONGEST_LABEL],
        )


def _within(value: float, low: float, high: float) -> float:
    """`value` cut to `low`..`high`; `low` for NaN."""
    return min(value, high) if value > low else low
