"""What all IKE flows of a gateway have in common, and the ESP that they agree on (K1, K2, K5)."""

from __future__ import annotations

from collections.abc import Sequence

from p4alg.alg.contract import (
    UDP,
    Admit,
    Discard,
    Endpoint,
    Notice,
    ProtocolFlow,
    ProtocolGateway,
    ProtocolPacket,
    format_addr,
)
from p4alg.alg.ike.alg import IkeExchanges
from p4alg.alg.ike.esp import Drop, EspTracker, Learn, Sa, Wait, read_spi

_IKE_PORT = 500

Step = Admit | Discard | Notice


class IkeShared:
    """Exchanges by initiator SPI, and ESP by its SPI; see `ProtocolAlg`."""

    def __init__(self, *, require_ike: bool = True) -> None:
        self.exchanges = IkeExchanges()
        self.esp = EspTracker(require_ike=require_ike)

    def packet(
        self, packet: ProtocolPacket, gateway: ProtocolGateway, now: float
    ) -> Sequence[Step]:
        """Decide whose an ESP packet is that the switch does not know."""
        spi = read_spi(packet.payload)
        if isinstance(spi, Drop):
            return [Discard(f"dropped.{spi.reason}")]
        if not packet.is_inbound:
            found = self.esp.outbound(packet.source, packet.outside, packet.target, spi, now)
        else:
            # A gateway inside is known by the static mapping of its IKE (K5).
            ike = Endpoint(packet.outside, _IKE_PORT)
            static = gateway.static_inside_of(UDP, ike)
            inside = static.addr if static is not None else None
            found = self.esp.inbound(packet.source, packet.outside, spi, now, static=inside)
        match found:
            case Wait():
                return [Discard("held")]
            case Drop():
                return [*_unclear(found, spi, packet.source), Discard(f"dropped.{found.reason}")]
            case Learn():
                return self._learnt(found)

    def _learnt(self, found: Learn) -> list[Step]:
        sa = found.sa
        towards = "from" if sa.is_inbound else "to"
        summary = f"ESP of {format_addr(sa.inside)} {towards} {format_addr(sa.remote)}"
        label = "esp in" if sa.is_inbound else "esp out"
        admit = Admit(ProtocolFlow(*sa), label, f"{summary}: SPI {sa.spi:08x}")
        if found.contested is None or not found.is_new:
            return [admit]
        told = (
            f"SPI {sa.spi:08x} of {format_addr(sa.remote)} goes to {format_addr(sa.inside)}, "
            f"but {format_addr(found.contested)} was never answered"
        )
        return [Notice("contested", told, is_warning=True), admit]

    def flow_ended(self, flow: ProtocolFlow) -> Sequence[ProtocolFlow]:
        """An SPI is not in the switch any more; the other direction may have to end with it."""
        return [ProtocolFlow(*sa) for sa in self.esp.forget(Sa(*flow))]

    def adopt(self, flow: ProtocolFlow, now: float) -> None:
        """Take over an SPI that was found in the switch."""
        self.esp.adopt(Sa(*flow), now)

    def expire_flows(self, now: float) -> Sequence[ProtocolFlow]:
        """Give up exchanges that nobody answered."""
        return [ProtocolFlow(*sa) for sa in self.esp.expire(now)]

    def switched_off(self) -> None:
        """Expect no SPI: those that come now are not seen, and would be expected for ever."""
        self.esp.expect_none()

    def expire(self, now: float) -> Sequence[int]:
        """Nothing was opened by number here; see `SharedState`."""
        return ()


def _unclear(dropped: Drop, spi: int, remote: int) -> list[Step]:
    """Tell the operator that it cannot be known whose an SPI is."""
    if not dropped.between:
        return []
    hosts = " or ".join(format_addr(host) for host in dropped.between)
    told = (
        f"SPI {spi:08x} of {format_addr(remote)} could be for {hosts}; dropped until their "
        "exchanges are answered or given up"
    )
    return [Notice("ambiguous", told, is_warning=True)]
