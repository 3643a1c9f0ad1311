"""Engine entries to P4Runtime table entries and back.

One encoder and one decoder per table; names are those of the P4Info. Knows
nothing of connections or of what entries mean. `decode` returns None for
default entries, so that a wildcard read gives just what a controller installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Network
from typing import Any

import finsy as fy

from p4alg.engine import tables as t

_NS = 1_000_000_000
_WORD = 0xFFFFFFFF


class CodecError(ValueError):
    """A table entry that the program should not be able to hold."""


def encode(entry: t.Entry) -> fy.P4TableEntry:
    """The P4Runtime form of `entry`."""
    return _ENCODERS[type(entry)](entry)


def decode(entry: fy.P4TableEntry) -> t.Entry | None:
    """The engine's form of `entry`; None for a default entry.

    Raises `CodecError` if the table or action is not one of the program's.
    """
    if entry.is_default_action:
        return None
    decoder = _DECODERS.get(entry.table_id)
    if decoder is None or not isinstance(entry.action, fy.P4TableAction):
        raise CodecError(f"unexpected entry in table {entry.table_id}")
    match = plain(entry.match or {})
    return decoder(entry, match, plain(entry.action.args), entry.action.name)


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with finsy's address objects (made from @format) as integers.

    A prefix becomes (address, prefix length), a ternary pair (value, mask).
    """
    return {name: _plain_value(value) for name, value in fields.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, IPv4Network):
        return int(value.network_address), value.prefixlen
    if isinstance(value, tuple):
        return tuple(int(part) for part in value)
    return int(value)


def encode_key(entry: t.Entry) -> fy.P4TableEntry:
    """The P4Runtime form of what identifies `entry`, enough to delete it."""
    full = encode(entry)
    return fy.P4TableEntry(full.table_id, match=full.match, priority=full.priority)


def decode_flow(match: Mapping[str, Any]) -> t.FlowKey:
    """The flow key of a match on `session` or `sequence`, or of a digest (both `plain`)."""
    return t.FlowKey(
        match["proto"],
        match["inside_addr"],
        match["inside_id"],
        match["remote_addr"],
        match["remote_id"],
    )


def _flow(flow: t.FlowKey) -> fy.P4TableMatch:
    return fy.Match(**flow._asdict())


def _ternary(**fields: tuple[int, int]) -> fy.P4TableMatch:
    # A field that matches everything is left out (P4Runtime section 9.1.1).
    return fy.Match({name: pair for name, pair in fields.items() if pair[1] != 0})


def _pair(match: Mapping[str, Any], name: str) -> tuple[int, int]:
    value, mask = match.get(name, (0, 0))
    return value, mask


def _timeout(seconds: float) -> int:
    return round(seconds * _NS)


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def _port(e: t.Port) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=fy.Match(port=e.port, vlan_id=e.vlan_id),
        action=fy.Action("set_zone", zone=e.zone, side=int(e.side), mac=e.mac),
    )


def _local(e: t.Local) -> fy.P4TableEntry:
    return fy.P4TableEntry(e.TABLE, match=fy.Match(addr=e.addr), action=fy.Action("is_local"))


def _pool(e: t.PoolPrefix) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE, match=fy.Match(addr=(e.addr, e.prefix_len)), action=fy.Action("in_pool")
    )


def _policy(e: t.Policy) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=_ternary(
            side=e.side,
            proto=e.proto,
            src_addr=e.src_addr,
            dst_addr=e.dst_addr,
            dst_id=e.dst_id,
        ),
        action=fy.Action(e.action.value),
        priority=e.priority,
    )


def _map_out(e: t.MapOut) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=fy.Match(proto=e.proto, inside_addr=e.inside_addr, inside_id=e.inside_id),
        action=fy.Action("set_outside", outside_addr=e.outside_addr, outside_id=e.outside_id),
    )


def _map_in(e: t.MapIn) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=fy.Match(proto=e.proto, outside_addr=e.outside_addr, outside_id=e.outside_id),
        action=fy.Action(
            "set_inside",
            inside_addr=e.inside_addr,
            inside_id=e.inside_id,
            filter_mode=int(e.filter_mode),
        ),
    )


def _ike_in(e: t.IkeIn) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=fy.Match(outside_addr=e.outside_addr, initiator_spi=e.initiator_spi),
        action=fy.Action(
            "set_inside",
            inside_addr=e.inside_addr,
            inside_id=e.inside_id,
            filter_mode=int(e.filter_mode),
        ),
    )


def _addr_map_out(e: t.AddrMapOut) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=fy.Match(inside_addr=e.inside_addr),
        action=fy.Action("set_outside_addr", outside_addr=e.outside_addr),
    )


def _addr_map_in(e: t.AddrMapIn) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=fy.Match(outside_addr=e.outside_addr),
        action=fy.Action(
            "set_inside_addr", inside_addr=e.inside_addr, filter_mode=int(e.filter_mode)
        ),
    )


def _peer(e: t.PeerEntry) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=fy.Match(
            proto=e.proto,
            inside_addr=e.inside_addr,
            inside_id=e.inside_id,
            remote_addr=e.remote_addr,
        ),
        action=fy.Action("peer_known"),
    )


def _session(e: t.Session) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=_flow(e.flow),
        action=fy.Action("allow", alg_id=e.alg_id, flags=int(e.flags), watch_below=e.watch_below),
        idle_timeout_ns=_timeout(e.idle_timeout),
    )


def _pinhole(e: t.PinholeEntry) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=_ternary(
            proto=(e.proto, 0xFF),
            inside_addr=(e.inside_addr, _WORD),
            inside_id=(e.inside_id, _WORD),
            remote_addr=(e.remote_addr or 0, 0 if e.remote_addr is None else _WORD),
            remote_id=(e.remote_id or 0, 0 if e.remote_id is None else _WORD),
        ),
        action=(
            fy.Action("inspect", pinhole_id=e.pinhole_id, alg_id=e.alg_id)
            if e.alg_id
            else fy.Action("permit", pinhole_id=e.pinhole_id)
        ),
        priority=e.priority,
        idle_timeout_ns=_timeout(e.idle_timeout),
    )


def _sequence(e: t.Sequence) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=_flow(e.flow),
        action=fy.Action(
            "correct",
            out_position=e.outbound.position,
            out_before=e.outbound.before & _WORD,
            out_after=e.outbound.after & _WORD,
            in_position=e.inbound.position,
            in_before=e.inbound.before & _WORD,
            in_after=e.inbound.after & _WORD,
        ),
    )


def _fragment(e: t.Fragment) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=fy.Match(src_addr=e.src_addr, dst_addr=e.dst_addr, proto=e.proto, ident=e.ident),
        action=fy.Action("set_ids", src_id=e.src_id, dst_id=e.dst_id),
        idle_timeout_ns=_timeout(e.idle_timeout),
    )


def _service(e: t.Service) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=_ternary(proto=(e.proto, 0xFF), server_id=e.server_id),
        action=fy.Action("bind_alg", alg_id=e.alg_id),
        priority=e.priority,
    )


def _route(e: t.Route) -> fy.P4TableEntry:
    # A default route is an LPM match left out (P4Runtime section 9.1.1).
    match = fy.Match(addr=(e.addr, e.prefix_len)) if e.prefix_len else fy.Match()
    return fy.P4TableEntry(e.TABLE, match=match, action=fy.Action("via", next_hop=e.next_hop))


def _next_hop(e: t.NextHop) -> fy.P4TableEntry:
    return fy.P4TableEntry(
        e.TABLE,
        match=fy.Match(next_hop=e.next_hop),
        action=fy.Action(
            "leave",
            port=e.port,
            vlan_id=e.vlan_id,
            src_mac=e.src_mac,
            dst_mac=e.dst_mac,
            mtu=e.mtu,
        ),
    )


_ENCODERS: dict[type, Callable[[Any], fy.P4TableEntry]] = {
    t.Port: _port,
    t.Local: _local,
    t.PoolPrefix: _pool,
    t.Policy: _policy,
    t.MapOut: _map_out,
    t.MapIn: _map_in,
    t.IkeIn: _ike_in,
    t.AddrMapOut: _addr_map_out,
    t.AddrMapIn: _addr_map_in,
    t.PeerEntry: _peer,
    t.Session: _session,
    t.PinholeEntry: _pinhole,
    t.Sequence: _sequence,
    t.Fragment: _fragment,
    t.Service: _service,
    t.Route: _route,
    t.NextHop: _next_hop,
}


def _exact(cls: Callable[..., t.Entry]) -> Callable[..., t.Entry]:
    """Decode a table whose match and action fields are the fields of `cls`."""

    def decoder(
        _e: fy.P4TableEntry, m: Mapping[str, Any], a: Mapping[str, Any], _name: str
    ) -> t.Entry:
        fields = {**m, **a}
        if "filter_mode" in fields:
            fields["filter_mode"] = t.FilterMode(fields["filter_mode"])
        if "side" in fields:
            fields["side"] = t.Side(fields["side"])
        return cls(**fields)

    return decoder


def _decode_prefix(cls: Callable[..., t.Entry]) -> Callable[..., t.Entry]:
    def decoder(
        _e: fy.P4TableEntry, m: Mapping[str, Any], a: Mapping[str, Any], _name: str
    ) -> t.Entry:
        addr, prefix_len = m.get("addr", (0, 0))
        return cls(addr=addr, prefix_len=prefix_len, **a)

    return decoder


def _decode_policy(
    e: fy.P4TableEntry, m: Mapping[str, Any], _a: Mapping[str, Any], name: str
) -> t.Entry:
    return t.Policy(
        priority=e.priority,
        action=t.PolicyAction(name),
        side=_pair(m, "side"),
        proto=_pair(m, "proto"),
        src_addr=_pair(m, "src_addr"),
        dst_addr=_pair(m, "dst_addr"),
        dst_id=_pair(m, "dst_id"),
    )


def _decode_session(
    e: fy.P4TableEntry, m: Mapping[str, Any], a: Mapping[str, Any], _name: str
) -> t.Entry:
    return t.Session(
        decode_flow(m),
        a["alg_id"],
        t.SessionFlags(a["flags"]),
        e.idle_timeout_ns / _NS,
        a["watch_below"],
    )


def _decode_pinhole(
    e: fy.P4TableEntry, m: Mapping[str, Any], a: Mapping[str, Any], _name: str
) -> t.Entry:
    remote_addr, remote_id = m.get("remote_addr"), m.get("remote_id")
    return t.PinholeEntry(
        proto=_pair(m, "proto")[0],
        inside_addr=_pair(m, "inside_addr")[0],
        inside_id=_pair(m, "inside_id")[0],
        remote_addr=None if remote_addr is None else remote_addr[0],
        remote_id=None if remote_id is None else remote_id[0],
        pinhole_id=a["pinhole_id"],
        priority=e.priority,
        idle_timeout=e.idle_timeout_ns / _NS,
        alg_id=a.get("alg_id", 0),
    )


def _decode_sequence(
    _e: fy.P4TableEntry, m: Mapping[str, Any], a: Mapping[str, Any], _name: str
) -> t.Entry:
    def correction(prefix: str) -> t.Correction:
        return t.Correction(
            a[f"{prefix}_position"], _signed(a[f"{prefix}_before"]), _signed(a[f"{prefix}_after"])
        )

    return t.Sequence(decode_flow(m), correction("out"), correction("in"))


def _decode_fragment(
    e: fy.P4TableEntry, m: Mapping[str, Any], a: Mapping[str, Any], _name: str
) -> t.Entry:
    return t.Fragment(**m, **a, idle_timeout=e.idle_timeout_ns / _NS)


def _decode_service(
    e: fy.P4TableEntry, m: Mapping[str, Any], a: Mapping[str, Any], _name: str
) -> t.Entry:
    return t.Service(_pair(m, "proto")[0], _pair(m, "server_id"), a["alg_id"], e.priority)


_DECODERS: dict[
    str, Callable[[fy.P4TableEntry, Mapping[str, Any], Mapping[str, Any], str], t.Entry]
] = {
    t.Port.TABLE: _exact(t.Port),
    t.Local.TABLE: _exact(t.Local),
    t.PoolPrefix.TABLE: _decode_prefix(t.PoolPrefix),
    t.Policy.TABLE: _decode_policy,
    t.MapOut.TABLE: _exact(t.MapOut),
    t.MapIn.TABLE: _exact(t.MapIn),
    t.IkeIn.TABLE: _exact(t.IkeIn),
    t.AddrMapOut.TABLE: _exact(t.AddrMapOut),
    t.AddrMapIn.TABLE: _exact(t.AddrMapIn),
    t.PeerEntry.TABLE: _exact(t.PeerEntry),
    t.Session.TABLE: _decode_session,
    t.PinholeEntry.TABLE: _decode_pinhole,
    t.Sequence.TABLE: _decode_sequence,
    t.Fragment.TABLE: _decode_fragment,
    t.Service.TABLE: _decode_service,
    t.Route.TABLE: _decode_prefix(t.Route),
    t.NextHop.TABLE: _exact(t.NextHop),
}
