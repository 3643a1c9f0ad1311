"""Mappings of inside to outside endpoints (RFC 4787, 5382), and their entries in the switch.

Each flow, pinhole and reserved endpoint that uses a binding is counted in it. When nothing uses
a dynamic binding any more, the binding and its entries are removed.
"""

from __future__ import annotations

from p4alg.engine import tables as t
from p4alg.engine.outbox import Outbox
from p4alg.engine.settings import Settings
from p4alg.engine.subscribers import Subscribers
from p4alg.engine.tables import FlowKey, Op, Side, Update
from p4alg.nat.bindings import Binding, Bindings, Kind, Refused
from p4alg.protocols import ESP, ICMP, TUNNELS


class Mappings:
    """The bindings of endpoints, and the 1:1 mappings of whole addresses."""

    def __init__(
        self, settings: Settings, bindings: Bindings, subscribers: Subscribers, outbox: Outbox
    ) -> None:
        self._filter_mode = settings.filter_mode
        self._outbox = outbox
        self._by_inside = {f.inside_addr: f.outside_addr for f in settings.address_forwards}
        self._by_outside = {f.outside_addr: f.inside_addr for f in settings.address_forwards}
        self.bindings = bindings
        """The bindings of endpoints. A host with a 1:1 mapping needs none."""
        self.subscribers = subscribers

    # Looking up

    def outside_of(self, inside_addr: int) -> int | None:
        """The outside address of a host with a 1:1 mapping."""
        return self._by_inside.get(inside_addr)

    def outside_addr_of(self, inside_addr: int) -> int | None:
        """The outside address of a host. If it has none yet, one is chosen; None without a pool."""
        return self._by_inside.get(inside_addr) or self.bindings.address_of(inside_addr)

    def inside_endpoint(self, proto: int, addr: int, number: int) -> Binding | None:
        """The binding of the outside endpoint (`addr`, `number`); None if there is none."""
        binding = self.bindings.inbound(proto, addr, number)
        if binding is None and addr in self._by_outside:
            return self._whole_address(proto, self._by_outside[addr], number, 0.0)
        return binding

    def inside_addr_of(self, proto: int, addr: int, number: int) -> int | None:
        """The host that an outside endpoint leads to, by a mapping of ours or of the switch's."""
        binding = self.inside_endpoint(proto, addr, number)
        if binding is not None:
            return binding.inside_addr
        return None if proto in TUNNELS else self.subscribers.inside_of(addr, number)

    def key_of(
        self, proto: int, side: Side, source: tuple[int, int], target: tuple[int, int]
    ) -> FlowKey | None:
        """The flow of a packet that came from `side`; None if no mapping leads inside.

        `source` and `target` are address and identifier as they are in the packet. ICMP
        queries have one identifier; in the key it is that of the inside end.
        """
        if side is Side.INSIDE:
            return FlowKey(proto, *source, target[0], 0 if proto == ICMP else target[1])
        binding = self.inside_endpoint(proto, *target)
        if binding is None:
            return None
        remote_id = 0 if proto == ICMP else source[1]
        return FlowKey(proto, binding.inside_addr, binding.inside_id, source[0], remote_id)

    # Bindings begin

    def binding_for(
        self,
        proto: int,
        inside: tuple[int, int],
        now: float,
        *,
        kind: Kind = Kind.DYNAMIC,
        outside_addr: int | None = None,
        share: bool = False,
        mapped_id: int = 0,
    ) -> Binding | Refused:
        """The binding of an inside endpoint, made if there is none.

        With `outside_addr` the binding must have that outside address. With `share` it keeps
        the inside identifier outside, even if other hosts do so too. `mapped_id` is the outside
        port that the switch has given to the endpoint; the binding gets the same. The caller has
        to count what uses the binding in it (`Binding.sessions`, `Binding.reservations`);
        otherwise `release_if_unused` removes it.
        """
        whole = self._by_inside.get(inside[0])
        if whole is not None and self.bindings.outbound(proto, *inside) is None:
            if outside_addr not in (None, whole):
                return Refused("mapping-conflict")
            return self._whole_address(proto, *inside, now)
        if share or (proto in TUNNELS and inside[1] == 0):
            return self.bindings.share(proto, *inside, outside_addr, now)
        if proto == ESP:
            return self.bindings.claim(proto, *inside, outside_addr, now)
        return self.bindings.allocate(
            proto, *inside, now, kind=kind, outside_addr=outside_addr, mapped_id=mapped_id
        )

    def binding_pair(
        self, proto: int, inside_addr: int, port: int, now: float, outside_addr: int
    ) -> tuple[Binding, ...] | Refused:
        """The bindings of a port and the next one (see `Bindings.allocate_pair`)."""
        if self.outside_of(inside_addr) is None:
            return self.bindings.allocate_pair(
                proto, inside_addr, port, now, outside_addr=outside_addr
            )
        found: list[Binding] = []
        for number in (port, port + 1):
            one = self.binding_for(proto, (inside_addr, number), now, outside_addr=outside_addr)
            if isinstance(one, Refused):
                return one
            found.append(one)
        return tuple(found)

    # Their entries

    def entries(self, binding: Binding) -> tuple[t.MapOut | t.MapIn, ...]:
        """The entries of a dynamic binding. Those of a static one are written from the settings."""
        if binding.kind is Kind.STATIC:
            return ()
        inside = (binding.inside_addr, binding.inside_id)
        outside = (binding.outside_addr, binding.outside_id)
        number = self.subscribers.number_of(binding.inside_addr)
        map_out = t.MapOut(binding.proto, *inside, *outside, number, managed=1)
        if binding.kind is Kind.SHARED:
            return (map_out,)
        mode = self._filter_mode
        if binding.kind is Kind.PINHOLE:
            # An ALG asked for this endpoint. Only its pinholes say who may open a flow to it.
            mode = t.FilterMode.ADDRESS_AND_PORT
        return map_out, t.MapIn(binding.proto, *outside, *inside, mode, number, managed=1)

    def writes(self, binding: Binding) -> list[Update]:
        """The writes that a binding still needs. The caller has to carry them out.

        If its host has got a block for it, that is written at once.
        """
        if binding.is_in_switch:
            return []
        self.subscribers.ensure(binding.inside_addr)
        binding.is_in_switch = True
        return [Update(Op.INSERT, entry) for entry in self.entries(binding)]

    def lost(self, binding: Binding, now: float) -> None:
        """The switch refused a transaction that had the entries of a binding in it."""
        binding.is_in_switch = False
        self.drop_if_unused(binding, now)
        if binding.sessions or binding.reservations:
            # Something else has begun to use the binding in the meantime, and needs the entries.
            updates = self.writes(binding)
            if updates:
                self._outbox.transact(updates)

    # Bindings end

    def release_if_unused(self, binding: Binding, now: float) -> list[Update]:
        """Forget a binding if nothing uses it; returns the deletes that the caller has to write."""
        if not self.drop_if_unused(binding, now) or not binding.is_in_switch:
            return []
        binding.is_in_switch = False
        return [Update(Op.DELETE, entry) for entry in self.entries(binding)]

    def is_known(self, binding: Binding) -> bool:
        """Whether a binding is still that of its inside endpoint."""
        inside = (binding.inside_addr, binding.inside_id)
        return self.bindings.outbound(binding.proto, *inside) is binding

    def drop_if_unused(self, binding: Binding, now: float) -> bool:
        """Forget a dynamic binding if nothing uses it; True if that was so.

        Its outside port is not given out again for a while (RFC 6888 REQ-8).
        """
        if binding.sessions or binding.reservations or binding.kind is Kind.STATIC:
            return False
        if not self.is_known(binding):
            return False
        self.bindings.release(binding, now)
        return True

    def _whole_address(self, proto: int, inside_addr: int, number: int, now: float) -> Binding:
        outside = self._by_inside[inside_addr]
        return Binding(proto, inside_addr, number, outside, number, Kind.STATIC, now)
