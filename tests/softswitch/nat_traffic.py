"""Generated entries and packets for the project's NAT program, alike for a seed.

A `World` is a small gateway: zones on three ports, inside hosts with mappings, remote hosts,
flows between them, and for each of these, with a probability, the entries that a controller would
install. Its packets belong to those flows most of the time, and are broken in one of many ways
some of the time, so that every table is hit and missed and every reason to drop or punt occurs.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from p4softswitch.p4rt.proto import p4r, text_format

from .helpers import csum, ethernet, update

ARTIFACTS = Path(__file__).resolve().parents[2] / "p4src" / "artifacts" / "v1model"
PORTS = (1, 2, 3)
CPU = 510
DROP_REASONS, PUNT_CLASSES = 32, 16
ICMP, TCP, UDP, GRE, ESP = 1, 6, 17, 47, 50
CALL = 0x10000
"""In a key, what tells a call id from none."""
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
INSIDE, OUTSIDE = 0, 1
IKE = 500
BROADCAST = 0xFFFFFFFFFFFF
IPV4, ARP, VLAN = 0x0800, 0x0806, 0x8100
PIPELINE, SEQUENCE_FINAL, HAIRPIN, BEGIN = 1, 2, 4, 8
# Packets to these addresses leave by port 1, 2 and 3 as they came, whatever else is installed.
SENTINEL_NET = 0xC0000200
# A packet-out may claim a port that no wire has; the highest is the drop port of BMv2.
ODD_PORTS = (511, 513, 600)
PUNT_TTL, PUNT_MTU, PUNT_NEIGHBOUR = 6, 7, 8
IDENTS = range(100, 106)
ERRORS = (3, 4, 11, 12)
U16, U32 = 0xFFFF, 0xFFFFFFFF
SUBSCRIBERS = 700
"""The number of the first inside host that has a block."""


@cache
def config() -> Any:
    """The ForwardingPipelineConfig of the NAT program."""
    message = p4r.ForwardingPipelineConfig()
    text_format.Parse((ARTIFACTS / "p4alg.p4info.txtpb").read_text(), message.p4info)
    message.p4_device_config = (ARTIFACTS / "p4alg.json").read_bytes()
    return message


def named(kind: str, alias: str) -> Any:
    """An object of the program by its kind and short name."""
    return next(x for x in getattr(config().p4info, kind) if x.preamble.alias == alias)


def has(kind: str, alias: str) -> bool:
    """Whether the program knows such an object; what it does not know is left out."""
    return any(x.preamble.alias == alias for x in getattr(config().p4info, kind))


def number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def entry(table: str, match: dict[str, Any], action: str, *args: int, priority: int = 0) -> Any:
    """An INSERT; match values are numbers, (value, prefix length) or (value, mask)."""
    info = named("tables", table)
    message = p4r.TableEntry(table_id=info.preamble.id, priority=priority)
    for field in info.match_fields:
        kinds = type(field)
        if field.name not in match:
            continue
        given = match[field.name]
        if field.match_type == kinds.EXACT:
            message.match.add(field_id=field.id).exact.value = number(given)
        elif field.match_type == kinds.LPM and given[1]:
            part = message.match.add(field_id=field.id).lpm
            rest = field.bitwidth - given[1]
            part.value, part.prefix_len = number(given[0] >> rest << rest), given[1]
        elif field.match_type == kinds.TERNARY and given[1]:
            ternary = message.match.add(field_id=field.id).ternary
            ternary.value, ternary.mask = number(given[0] & given[1]), number(given[1])
    known = named("actions", action)
    message.action.action.action_id = known.preamble.id
    for param, arg in zip(known.params, args, strict=False):
        message.action.action.params.add(param_id=param.id, value=number(arg))
    return update("INSERT", table_entry=message)


def route(addr: int, length: int, next_hop: int, organisation: int = 0) -> Any:
    """An entry of `route`; without a prefix it matches every address."""
    key = {"addr": (addr, length), "organisation": organisation}
    return entry("route", key, "via", next_hop)


def router_mac(port: int) -> int:
    """The gateway's own MAC address at a port, without a VLAN tag."""
    return 0x020000000020 + port % 8 if port in ODD_PORTS else 0x020000000000 + port


@dataclass(frozen=True)
class Zone:
    """What a port and VLAN id belong to."""

    port: int
    vlan: int
    side: int
    mac: int
    organisation: int = 0


@dataclass(frozen=True)
class Mapping:
    """An inside endpoint and its outside endpoint."""

    proto: int
    inside: int
    inside_id: int
    outside: int
    outside_id: int
    whole_address: bool = False
    organisation: int = 0
    subscriber: int = 0
    managed: int = 0


@dataclass(frozen=True)
class Flow:
    """A mapping and the remote endpoint it talks to."""

    mapping: Mapping
    remote: int
    remote_id: int
    hairpin: bool = False

    @property
    def proto(self) -> int:
        return self.mapping.proto

    def ends(self, outbound: bool) -> tuple[int, int, int, int]:
        """Source address and identifier, destination address and identifier as sent."""
        m = self.mapping
        if outbound:
            return m.inside, m.inside_id, self.remote, self.remote_id
        return self.remote, self.remote_id, m.outside, m.outside_id

    def oriented(self) -> Iterator[dict[str, int]]:
        """Oriented keys; a packet of GRE or ESP names its receiver only."""
        m = self.mapping
        both = {"proto": m.proto, "inside_addr": m.inside, "remote_addr": self.remote}
        both["organisation"] = m.organisation
        if m.proto in (GRE, ESP):
            yield {**both, "inside_id": 0, "remote_id": self.remote_id}
            yield {**both, "inside_id": m.inside_id, "remote_id": 0}
        else:
            remote_id = 0 if m.proto == ICMP else self.remote_id
            yield {**both, "inside_id": m.inside_id, "remote_id": remote_id}


class World:
    """One gateway and the traffic around it."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.zones = [
            Zone(1, 0, INSIDE, router_mac(1)),
            Zone(2, 0, OUTSIDE, router_mac(2)),
            Zone(3, 0, rng.choice([INSIDE, OUTSIDE]), router_mac(3)),
            *(
                Zone(p, p * 10, rng.choice([INSIDE, OUTSIDE]), 0x020000000010 + p, p % 2)
                for p in PORTS
            ),
            *(Zone(p, 0, INSIDE, router_mac(p)) for p in ODD_PORTS),
        ]
        self.insiders = [0x0A000001 + i for i in range(5)]
        self.pool = [0xCB007101 + i for i in range(3)]
        self.remotes = [0xC6336401 + i for i in range(5)] + [0x64400001, 0xF0000001]
        self.exempt = [0xC0A83201 + i for i in range(3)]
        self.locals = [0x0A0000FE, self.pool[0]]
        self.spis = [rng.randrange(1, 1 << 64) for _ in range(4)]
        self.mappings = [self._mapping(i) for i in range(24)]
        self.mappings += [self._whole_address(i) for i in range(6)]
        self.flows = [self._flow() for _ in range(70)]
        self.flows += [f for _ in range(20) for f in self._hairpin()]
        # Sequence numbers of flows lie around the positions of their corrections.
        self.positions = {f: (rng.choice([5, U32 - 3, rng.randrange(1 << 32)]),
                              rng.randrange(1 << 32)) for f in self.flows}  # fmt: skip
        self.idents = {(f, way): rng.choice(IDENTS) for f in self.flows for way in (True, False)}
        self.entries = list(self._entries())
        # What is written to both switches; an entry that occurs twice is to be refused.
        self.updates = [*self._fixed(), *self.entries, *self._controls()]

    def _id(self, proto: int) -> int:
        if proto == ESP:
            return self.rng.randrange(256, 1 << 32)
        number = self.rng.choice([0, 1, 21, 1723, 5060, 40000, 65535, self.rng.randrange(65536)])
        return CALL | number if proto == GRE else number

    def _mapping(self, i: int) -> Mapping:
        proto = (TCP, UDP, TCP, ICMP, UDP, TCP, GRE, ESP)[i % 8]
        inside, outside = self.rng.choice(self.insiders), self.rng.choice(self.pool)
        own = IKE if i % 8 == 4 else self._id(proto)
        new = IKE if i % 8 == 4 else self._id(proto)
        number = SUBSCRIBERS + self.insiders.index(inside)
        return Mapping(
            *(proto, inside, own, outside, new),
            organisation=self.rng.choice([0, 0, 0, 1]),
            subscriber=self.rng.choice([number, number, 0]),
            managed=self.rng.choice([0, 1]),
        )

    def _whole_address(self, i: int) -> Mapping:
        proto = (TCP, UDP, ICMP, GRE, ESP, UDP)[i]
        own = self._id(proto)
        ends = (0x0A000101 + i % 2, own, 0xCB007165 + i % 2, own)
        return Mapping(proto, *ends, whole_address=True, subscriber=(0, 720)[i % 2])

    def _flow(self) -> Flow:
        mapping = self.rng.choice(self.mappings)
        server = self.rng.choice([20, 21, 53, 80, 5060, self.rng.randrange(65536)])
        remote_id = self._id(ESP) if mapping.proto == ESP else server
        if mapping.proto == GRE:
            remote_id |= CALL
        if mapping.inside_id == IKE and self.rng.random() < 0.7:
            remote_id = IKE
        return Flow(mapping, self.rng.choice(self.remotes), remote_id)

    def _hairpin(self) -> Sequence[Flow]:
        one = self.rng.choice(self.mappings)
        other = self.rng.choice([m for m in self.mappings if m.proto == one.proto])
        return (
            Flow(one, other.outside, other.outside_id, True),
            Flow(other, one.outside, one.outside_id, True),
        )

    # --- entries ---------------------------------------------------------------------------

    def _entries(self) -> Iterator[Any]:
        yield from self._mapping_entries()
        yield from self._subscriber_entries()
        yield from self._flow_entries()
        yield from self._route_entries()
        yield from self._rules()

    def changes(self) -> list[Any]:
        """Some entries deleted, put in again, or given the action of others of their table."""
        rng = self.rng
        changes = []
        for one in self.entries:
            table = one.entity.table_entry
            if rng.random() < 0.15:
                changes.append(update("DELETE", table_entry=table))
                if rng.random() < 0.3:
                    changes.append(one)
            elif rng.random() < 0.15:
                same = [e.entity.table_entry for e in self.entries]
                other = rng.choice([t for t in same if t.table_id == table.table_id])
                changed = p4r.TableEntry()
                changed.CopyFrom(table)
                changed.action.CopyFrom(other.action)
                changes.append(update("MODIFY", table_entry=changed))
        return changes

    def _fixed(self) -> Iterator[Any]:
        for i, z in enumerate(self.zones, 1):
            key = {"port": z.port, "vlan_id": z.vlan}
            yield entry("port_zone", key, "set_zone", i, z.side, z.mac, z.organisation)
            yield entry("source", {"zone": i}, "accept_source")
            outsider = (self.remotes[-1] if z.side == INSIDE else self.insiders[-1], 32)
            yield entry("source", {"zone": i, "src_addr": outsider}, "refuse_source")
        dst = {"dst_addr": (SENTINEL_NET, 0xFFFFFF00)}
        yield entry("policy", dst, "exempt", priority=10000)
        for port in PORTS:
            for organisation in (0, 1):
                yield route(SENTINEL_NET + port, 32, 100 + port, organisation)
            yield entry("next_hop", {"next_hop": 100 + port}, "leave", port, 0, 1, 2, 1500)

    def _mapping_entries(self) -> Iterator[Any]:
        rng = self.rng
        for m in self.mappings:
            mode = rng.choice([0, 1, 1, 2, 3])
            if m.whole_address:
                if rng.random() < 0.9:
                    key = {"inside_addr": m.inside, "organisation": m.organisation}
                    yield entry("addr_map_out", key, "set_outside_addr", m.outside, m.subscriber)
                if rng.random() < 0.9:
                    key = {"outside_addr": m.outside}
                    args = (m.inside, mode, m.subscriber, m.organisation)
                    yield entry("addr_map_in", key, "set_inside_addr", *args)
                continue
            receiver_only = m.proto in (GRE, ESP)
            if rng.random() < 0.9:
                own, new = (0, 0) if receiver_only else (m.inside_id, m.outside_id)
                key = {"proto": m.proto, "inside_addr": m.inside, "inside_id": own}
                key["organisation"] = m.organisation
                yield entry("map_out", key, "set_outside", m.outside, new, m.subscriber, m.managed)
            if rng.random() < 0.9:
                key = {"proto": m.proto, "outside_addr": m.outside, "outside_id": m.outside_id}
                yield entry("map_in", key, "set_inside", *self._inside(m, mode))
        if has("tables", "ike_in"):
            for spi in self.spis[:3]:
                m = rng.choice([m for m in self.mappings if m.inside_id == IKE])
                for outside in self.pool[:2]:
                    key = {"outside_addr": outside, "initiator_spi": spi}
                    mode = rng.choice([0, 1, 2])
                    yield entry("ike_in", key, "set_inside", *self._inside(m, mode))
        yield entry("pool", {"addr": (self.pool[0], 30)}, "in_pool")
        yield entry("pool", {"addr": (0xCB007165, 32)}, "in_pool")
        for addr in self.locals:
            yield entry("local_addr", {"addr": addr}, "is_local")

    def _inside(self, m: Mapping, mode: int) -> tuple[int, ...]:
        """The parameters of `set_inside`."""
        return m.inside, m.inside_id, mode, m.subscriber, m.organisation, m.managed

    def _subscriber_entries(self) -> Iterator[Any]:
        """Blocks for most inside hosts; one host has a number only."""
        rng = self.rng
        for i, inside in enumerate(self.insiders[:4]):
            key = {"inside_addr": inside, "organisation": 0}
            number, outside = SUBSCRIBERS + i, self.pool[i % 3]
            if i == 3:
                yield entry("subscriber", key, "no_block", number)
                continue
            # Blocks of 64 ports, which are soon full.
            base, salt = 2048 + 64 * i, rng.randrange(1 << 16)
            yield entry("subscriber", key, "own_block", number, outside, base, 63, salt)
            ports = {"outside_addr": outside, "outside_id": (base, 26)}
            yield entry("block", ports, "held_by", number, inside, 0)
        for byte in range(256):
            for table in ("scramble_low", "scramble_high"):
                yield entry(table, {"byte": byte}, "scramble", rng.randrange(1 << 16))
        # What ages does so by each switch's own clock: nothing does while the test runs.
        yield entry("timer", {}, "set_ttl", 1 << 20, priority=1)

    def _flow_entries(self) -> Iterator[Any]:
        rng = self.rng
        priorities = iter(range(1000, 0, -1))  # overlapping entries must not be equals
        for i, f in enumerate(self.flows):
            for key in f.oriented():
                if rng.random() < (0.9 if f.hairpin else 0.65):
                    alg = rng.choice([0, 0, 0, 3, 255])
                    flags = rng.choice([0, 1, 2, 2, 3, 4, 8, 13, 254])
                    watch_below = rng.choice([0, 9, 30, U16])
                    yield entry("session", key, "allow", alg, flags, watch_below)
                if rng.random() < 0.5:
                    peer = {k: v for k, v in key.items() if k != "remote_id"}
                    yield entry("peer", peer, "peer_known")
                if rng.random() < 0.2:
                    around = self._around(key)
                    action, given = "permit", [i, rng.choice([0, 1, 1, 2, 3, 4, 255])]
                    if rng.random() < 0.3 and has("actions", "inspect"):
                        action, given = "inspect", [i, 6, 1]
                    yield entry("pinhole", around, action, *given, priority=next(priorities))
                if f.proto == TCP and rng.random() < 0.8:
                    deltas = [rng.choice([0, 7, U32 - 8, rng.randrange(1 << 32)]) for _ in "4444"]
                    own, peer_pos = self.positions[f]
                    args = (own, *deltas[:2], peer_pos, *deltas[2:])
                    yield entry("sequence", key, "correct", *args)

    def _around(self, key: dict[str, int]) -> dict[str, tuple[int, int]]:
        """A ternary match that this key fits and perhaps others do."""
        masks = {"proto": [0xFF, 0xEF], "inside_addr": [U32, 0xFFFFFF00], "organisation": [0xFF]}
        match = {}
        for name, value in key.items():
            if name == "proto" or self.rng.random() < 0.6:
                mask = self.rng.choice(masks.get(name, [U32, U32, 0xFFFFFFF0, 1]))
                match[name] = (value, mask)
        return match

    def _route_entries(self) -> Iterator[Any]:
        rng = self.rng
        if rng.random() < 0.5:
            yield route(0, rng.choice([0, 1]), 1)
        nets = [(0x0A000000, 8), (0x0A000000, 24), (0x0A000100, 24), (0xC6336400, 24),
                (0x64000000, 8), (0xC0A80000, 16), (0xCB007100, 24)]  # fmt: skip
        for addr, length in nets:
            for organisation in (0, 1):
                yield route(addr, length, rng.randrange(1, 6), organisation)
        for addr in (*self.insiders[:3], *self.remotes[2:4], self.exempt[0]):
            length = rng.choice([32, 32, 31, 30])
            yield route(addr, length, rng.choice([0, *range(1, 9)]))
        for addr, hop in zip(self.remotes, (6, rng.choice([0, 8])), strict=False):
            yield route(addr, 32, hop)
        for hop in range(1, 6):
            vlan = rng.choice([0, 0, hop * 10, 4095])
            macs = rng.randrange(1 << 48), rng.randrange(1 << 48)
            yield entry(
                "next_hop", {"next_hop": hop}, "leave", rng.choice(PORTS), vlan, *macs, 1500
            )
        for hop, (port, mtu) in enumerate([(1, 60), (7, 1500), (511, 1500)], 6):
            yield entry("next_hop", {"next_hop": hop}, "leave", port, 0, 1, 2, mtu)

    def _rules(self) -> Iterator[Any]:
        rng = self.rng
        yield entry("policy", {"dst_addr": (0xC0A83200, 0xFFFFFF00)}, "exempt", priority=500)
        refused = {"organisation": (1, 0xFF), "dst_id": (81, U32)}
        yield entry("policy", refused, "deny", priority=501)
        yield entry("policy", {"dst_id": (80, U32), "side": (INSIDE, 1)}, "deny", priority=700)
        for i in range(6):
            match: dict[str, tuple[int, int]] = {}
            if rng.random() < 0.5:
                match["side"] = (rng.randrange(2), 1)
            if rng.random() < 0.5:
                match["proto"] = (rng.choice([ICMP, TCP, UDP, GRE, ESP]), 0xFF)
            elif rng.random() < 0.9:
                match["src_addr"] = (rng.choice(self.insiders + self.remotes), U32)
            match["dst_addr"] = (rng.choice(self.remotes + self.pool), rng.choice([U32, U32 - 1]))
            action = ("translate", "exempt", "translate", "deny")[i % 4]
            yield entry("policy", match, action, priority=i + 1)
        services = [(21, U32, 3), (5060, U32, 4), (0, 0x8000, 5)]
        for i, (server, mask, alg) in enumerate(services):
            match = {"server_id": (server, mask)}
            if rng.random() < 0.5:
                match["proto"] = (rng.choice([TCP, UDP]), 0xFF)
            if rng.random() < 0.3:
                match["organisation"] = (rng.randrange(2), 0xFF)
            yield entry("alg_service", match, "bind_alg", alg, priority=10 - i)
        if rng.random() < 0.5:
            yield entry("alg_service", {"proto": (ESP, 0xFF)}, "bind_alg", 6, priority=1)

    def _controls(self) -> Iterator[Any]:
        for digest in config().p4info.digests:
            message = p4r.DigestEntry(digest_id=digest.preamble.id)
            message.config.max_list_size = 1
            yield update("INSERT", digest_entry=message)
        gateway = entry("gateway", {}, "set_gateway", 1, self.rng.choice([0, 1, 2]))
        gateway.type = p4r.Update.MODIFY
        gateway.entity.table_entry.is_default_action = True
        yield gateway
        # One class of punted packets is not to pass at all.
        meter = p4r.MeterEntry(meter_id=named("meters", "punt_meter").preamble.id)
        meter.index.index = self.rng.choice([PUNT_TTL, PUNT_MTU, PUNT_NEIGHBOUR])
        meter.config.SetInParent()
        yield update("MODIFY", meter_entry=meter)

    # --- packets ---------------------------------------------------------------------------

    def frame(self, port: int) -> bytes:
        """A frame as it may come in by a port."""
        rng = self.rng
        zone = rng.choice([z for z in self.zones if z.port == port])
        if rng.random() < 0.06:
            ethertype, payload = rng.choice([ARP, ARP, 0x86DD, 0x88B5]), rng.randbytes(28)
        else:
            ethertype, payload = IPV4, self._ip_packet(zone.side == INSIDE)
        mac = zone.mac
        if rng.random() < 0.04:
            mac = rng.choice([BROADCAST, mac ^ 1, 0x01005E000001])
        vlan: int | None = zone.vlan or None
        if rng.random() < 0.04:
            vlan = rng.choice([None, 0, 10, 20, 99])
        if vlan is not None:
            if rng.random() < 0.02:
                payload, ethertype = struct.pack(">HH", 5, ethertype) + payload, VLAN
            tci = rng.choice([0, 0, 0, rng.randrange(16)]) << 12 | vlan
            payload, ethertype = struct.pack(">HH", tci, ethertype) + payload, VLAN
        whole = ethernet(payload, mac, rng.randrange(1 << 40), ethertype)
        if rng.random() < 0.05:
            # Linux itself drops frames that end in or right behind their VLAN tag.
            return whole[: rng.randrange(20 if ethertype == VLAN else 14, len(whole) + 1)]
        return whole + rng.randbytes(rng.choice([0, 0, 0, 0, 1, 6]))

    def packet_out(self) -> tuple[int, int, bytes]:
        """Port, flags and payload of a packet of the controller."""
        rng = self.rng
        flags = rng.choice([0, PIPELINE, PIPELINE, PIPELINE | SEQUENCE_FINAL, PIPELINE | BEGIN,
                            rng.randrange(256)])  # fmt: skip
        port = rng.choice([*PORTS, *PORTS, *PORTS, *ODD_PORTS, 9])
        if flags & PIPELINE:
            data = self.frame(port if port in PORTS else 1)
            if rng.random() < 0.05:
                data = data[: rng.randrange(len(data))]
            return port, flags, data
        return rng.choice([port, CPU]), flags, self.frame(rng.choice(PORTS))

    def _ip_packet(self, outbound: bool) -> bytes:
        rng = self.rng
        roll = rng.random()
        flow = rng.choice(self.flows)
        src, src_id, dst, dst_id = flow.ends(outbound)
        proto = flow.proto
        if roll < 0.1:  # not of any flow
            everywhere = self.insiders + self.pool + self.remotes + self.exempt + self.locals
            src, dst = rng.choice(everywhere), rng.choice(everywhere)
            proto = rng.choice([ICMP, TCP, UDP, GRE, ESP, 2, 89])
        elif roll < 0.16:
            dst = rng.choice(self.exempt)
        elif roll < 0.22:
            dst = rng.choice(self.locals)
        elif roll < 0.36:  # nearly of this flow
            near = rng.choice(self.flows)
            if rng.random() < 0.5:
                src_id = rng.choice([near.remote_id, near.mapping.inside_id])
            else:
                dst_id = rng.choice([near.remote_id, near.mapping.outside_id])
        elif roll < 0.52:  # a plain flow of the switch's own
            proto, src, src_id, dst, dst_id = self._plain(outbound)
        if roll > 0.84:
            proto, body = ICMP, self._error(flow, outbound)
            if rng.random() < 0.4:  # a router on the way
                src = rng.choice(self.insiders if outbound else self.remotes)
        else:
            body = self._transport(flow, outbound, proto, (src, src_id, dst, dst_id))
        return self._ip(proto, src, dst, body, self.idents[flow, outbound])

    def _plain(self, outbound: bool) -> tuple[int, int, int, int, int]:
        """Protocol and ends of a packet of an endpoint that no table maps, or to a block's port."""
        rng = self.rng
        proto, host = rng.choice([TCP, UDP, ICMP]), rng.randrange(3)
        remote, port = rng.choice(self.remotes), rng.choice([53, 80, 443])
        if outbound:
            own = rng.choice([*range(5000, 5040), 100])
            return proto, self.insiders[host], own, remote, port
        return proto, remote, port, self.pool[host], 2048 + 64 * host + rng.randrange(64)

    def _options(self) -> bytes:
        """IPv4 options: one alone that may cross, as far as the first bytes tell, or anything."""
        rng = self.rng
        data = bytearray(rng.randbytes(4 * rng.choice([1, 2, 5, 10])))
        if rng.random() < 0.8:
            nops = rng.choice([0, 0, 0, 1])
            length = len(data) - nops - rng.choice([0, 0, 1, 3])
            data[:nops] = b"\1" * nops
            data[nops : nops + 2] = rng.choice([0, 7, 68, 148, 131]), max(0, length)
        return bytes(data)

    def _ip(self, proto: int, src: int, dst: int, body: bytes, datagram: int = 0) -> bytes:
        """An IPv4 packet or a fragment, then perhaps of the datagram with this identification."""
        rng = self.rng
        options = self._options() if rng.random() < 0.08 else b""
        version, ihl = 4, 5 + len(options) // 4
        flags, ident = rng.choice([0, 0x4000, 0x8000]), rng.randrange(65536)
        if rng.random() < 0.12:
            ident = rng.choice([datagram, datagram, datagram, ident])
            flags |= rng.choice([0x2000, 0x2000 | 3, 3, 0x1FFF])
            if flags & 0x1FFF and rng.random() < 0.7:
                body = rng.randbytes(rng.randrange(40))
        total = 4 * ihl + len(body)
        if rng.random() < 0.04:
            total = rng.choice([0, 20, 1501, 65535, total + 1, max(0, total - 1)])
        if rng.random() < 0.02:
            version, ihl = rng.choice([(4, 4), (6, 5), (4, 0), (5, 15), (4, 15), (0, 6)])
        ttl = rng.choice([0, 1, 2]) if rng.random() < 0.12 else rng.choice([3, 64, 128, 255])
        head = struct.pack(">BBHHHBBHII", version << 4 | ihl, rng.choice([0, 0xB8, 255]), total,
                           ident, flags, ttl, proto, 0, src, dst)  # fmt: skip
        value = csum((head + options + body)[: max(5, ihl) * 4])
        if rng.random() < 0.03:
            value = rng.choice([value ^ 0x0100, 0, U16])
        return head[:10] + struct.pack(">H", value) + head[12:] + options + body

    def _transport(
        self, flow: Flow, outbound: bool, proto: int, ends: tuple[int, int, int, int]
    ) -> bytes:
        rng = self.rng
        src, src_id, dst, dst_id = ends
        data = rng.randbytes(rng.choice([0, 0, 1, 2, 9, 40, 90, 600]))
        match proto:
            case 6:
                return self._tcp(flow, outbound, ends, data)
            case 17:
                if IKE in (src_id, dst_id) and rng.random() < 0.9:
                    data = rng.choice(self.spis).to_bytes(8, "big") + data
                if rng.random() < 0.1:
                    data = self._balance(flow, outbound, data)
                head = struct.pack(">HHHH", src_id & U16, dst_id & U16, 8 + len(data), 0)
                value = 0 if rng.random() < 0.15 else csum(_pseudo(src, dst, 17, head + data))
                return self._filled(head + data, 6, value or rng.choice([0, U16]))
            case 1:
                own = src_id if outbound else dst_id
                kind = rng.choice([8, 8, 0, 0, 13, 17, 5])
                head = struct.pack(">BBHHH", kind, 0, 0, own & U16, rng.randrange(65536))
                return self._filled(head + data, 2, csum(head + data))
            case 47:
                flags = rng.choice([0x2001, 0x3001, 0x2081, 0x3081, 0x2000, 0, 0x2002, 0xFFFF])
                kind = 0x880B if rng.random() < 0.9 else rng.choice([0x0800, 0x6558])
                return struct.pack(">HHHH", flags, kind, len(data), dst_id & U16) + data
            case 50:
                return struct.pack(">II", dst_id, rng.randrange(1 << 32)) + data
        return data

    def _tcp(
        self, flow: Flow, outbound: bool, ends: tuple[int, int, int, int], data: bytes
    ) -> bytes:
        rng = self.rng
        src, src_id, dst, dst_id = ends
        own, peer = self.positions[flow][:: 1 if outbound else -1]
        seq, ack = (
            rng.choice([p + rng.randrange(-20, 21), rng.randrange(1 << 32)]) & U32
            for p in (own, peer)
        )
        flags = rng.choice([SYN, SYN, ACK, ACK, SYN | ACK, FIN | ACK, RST, RST | ACK, PSH | ACK,
                            PSH | ACK, FIN, rng.randrange(256)])  # fmt: skip
        options = rng.randbytes(4 * rng.choice([0, 0, 1, 10]))
        offset = 5 + len(options) // 4
        if rng.random() < 0.03:
            offset = rng.randrange(16)
        head = struct.pack(">HHIIBBHHH", src_id & U16, dst_id & U16, seq, ack, offset << 4, flags,
                           rng.randrange(65536), 0, 0)  # fmt: skip
        whole = head + options + data
        return self._filled(whole, 16, csum(_pseudo(src, dst, 6, whole)))

    def _balance(self, flow: Flow, outbound: bool, data: bytes) -> bytes:
        """Data with which the checksum after translation would be 0, which UDP must not send."""
        m = flow.mapping
        if outbound:
            ends, src, dst = (m.outside_id, flow.remote_id), m.outside, flow.remote
        else:
            ends, src, dst = (flow.remote_id, m.inside_id), flow.remote, m.inside
        data = data[: len(data) & ~1]
        head = struct.pack(">HHHH", ends[0] & U16, ends[1] & U16, 10 + len(data), 0)
        return data + struct.pack(">H", csum(_pseudo(src, dst, 17, head + data + b"\0\0")))

    def _filled(self, message: bytes, at: int, checksum: int) -> bytes:
        """A message with its checksum put in, sometimes a wrong one."""
        if self.rng.random() < 0.05:
            checksum = self.rng.choice([0, U16, self.rng.randrange(65536)])
        return message[:at] + struct.pack(">H", checksum) + message[at + 2 :]

    def _error(self, flow: Flow, outbound: bool) -> bytes:
        """An ICMP error about a packet of the flow, which had gone the other way."""
        rng = self.rng
        m = flow.mapping
        if outbound:
            src, src_id, dst, dst_id = flow.remote, flow.remote_id, m.inside, m.inside_id
        else:
            src, src_id, dst, dst_id = m.outside, m.outside_id, flow.remote, flow.remote_id
        if flow.proto == ICMP:
            own = dst_id if outbound else src_id
            body = struct.pack(">BBHHH", 8, 0, rng.randrange(65536), own & U16, 1)
        else:
            third = 8 if flow.proto == UDP else rng.randrange(65536)
            fourth = rng.choice([0, U16, rng.randrange(65536)])
            body = struct.pack(">HHHH", src_id & U16, dst_id & U16, third, fourth)
        inner = self._ip(flow.proto, src, dst, body + rng.randbytes(rng.choice([0, 0, 12, 30])))
        if rng.random() < 0.06:
            inner = inner[: rng.randrange(len(inner) + 1)]
        head = struct.pack(">BBHHH", rng.choice(ERRORS), rng.randrange(16), 0, 0, 1400)
        return self._filled(head + inner, 2, csum(head + inner))


def _pseudo(src: int, dst: int, proto: int, segment: bytes) -> bytes:
    return struct.pack(">IIBBH", src, dst, 0, proto, len(segment)) + segment


def sentinels(marker: bytes, router: int) -> list[bytes]:
    """Frames of which one leaves by each port and the last goes to the controller, with `marker`.

    They may come in by any port that has an untagged zone, whose MAC is `router`.
    """
    frames = []
    for port in PORTS:
        body = struct.pack(">HHHH", 1, 1, 8 + len(marker), 0) + marker
        head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(body), 0, 0, 64, 17, 0,
                           SENTINEL_NET + 99, SENTINEL_NET + port)  # fmt: skip
        head = head[:10] + struct.pack(">H", csum(head)) + head[12:]
        frames.append(ethernet(head + body, router, 0x99))
    return [*frames, ethernet(marker + bytes(28), BROADCAST, 0x99, ARP)]
