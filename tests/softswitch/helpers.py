"""Frames, the test program and a controller for the tests of the embedded switch."""

from __future__ import annotations

import struct
from collections.abc import Collection
from functools import cache, partial
from pathlib import Path
from typing import Any

from p4softswitch.executor.interface import Options
from p4softswitch.executor.v1model import V1ModelExecutor
from p4softswitch.p4rt.device import Device, Stream
from p4softswitch.p4rt.lacking import Part
from p4softswitch.p4rt.proto import p4r, text_format
from p4softswitch.program.bmv2_json import load_program
from p4softswitch.program.model import Program
from p4softswitch.switch import Switch

P4_DIR = Path(__file__).parent / "p4"
SECOND = 1_000_000_000


def program_text(name: str = "l2switch") -> str:
    return (P4_DIR / f"{name}.json").read_text()


@cache
def l2switch() -> Program:
    return load_program(program_text())


def executor() -> V1ModelExecutor:
    return V1ModelExecutor(l2switch(), Options(seed=1))


def config(cookie: int | None = None, name: str = "l2switch") -> Any:
    message = p4r.ForwardingPipelineConfig()
    text_format.Parse((P4_DIR / f"{name}.p4info.txtpb").read_text(), message.p4info)
    message.p4_device_config = program_text(name).encode()
    if cookie is not None:
        message.cookie.cookie = cookie
    return message


def action_id(table: str, action: str) -> int:
    program = l2switch()
    ids = program.tables()[table].action_ids
    return next(i for i in ids if program.actions[i].name.split(".")[-1] == action)


def csum(data: bytes) -> int:
    """RFC 1071, written differently from the code under test."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(
    payload: bytes,
    *,
    src: int = 0x0A000001,
    dst: int = 0x0A000002,
    protocol: int = 17,
    ttl: int = 64,
    tos: int = 0,
    options: bytes = b"",
    bad_checksum: bool = False,
    ident: int = 0,
) -> bytes:
    ihl = 5 + len(options) // 4
    head = struct.pack(
        ">BBHHHBBHII",
        0x40 | ihl,
        tos,
        ihl * 4 + len(payload),
        ident,
        0,
        ttl,
        protocol,
        0,
        src,
        dst,
    )
    value = csum(head + options) ^ (0x5555 if bad_checksum else 0)
    return head[:10] + struct.pack(">H", value) + head[12:] + options + payload


def udp(
    data: bytes,
    *,
    src: int = 0x0A000001,
    dst: int = 0x0A000002,
    sport: int = 1000,
    dport: int = 2000,
    zero_checksum: bool = False,
) -> bytes:
    length = 8 + len(data)
    pseudo = struct.pack(">IIBBH", src, dst, 0, 17, length)
    head = struct.pack(">HHHH", sport, dport, length, 0)
    value = 0 if zero_checksum else csum(pseudo + head + data)
    return head[:6] + struct.pack(">H", value) + data


def ethernet(payload: bytes, dst: int = 0x02, src: int = 0x01, ethertype: int = 0x0800) -> bytes:
    return dst.to_bytes(6, "big") + src.to_bytes(6, "big") + struct.pack(">H", ethertype) + payload


def udp_frame(data: bytes = b"data", *, dmac: int = 2, smac: int = 1, **fields: Any) -> bytes:
    ip = {k: fields.pop(k) for k in list(fields) if k in ("ttl", "tos", "options", "bad_checksum")}
    addresses = {k: fields[k] for k in ("src", "dst") if k in fields}
    return ethernet(ipv4(udp(data, **fields), **addresses, **ip), dmac, smac)


class Controller:
    """A client of a `Device` without a network in between."""

    def __init__(self, device: Device, election_id: int | None = 1, role: str = "") -> None:
        self.device = device
        self.received: list[Any] = []
        self.room = 1 << 30
        self.stream = Stream(self._offer)
        self.election_id = election_id
        self.role = role

    def _offer(self, message: Any) -> bool:
        if len(self.received) >= self.room:
            return False
        self.received.append(message)
        return True

    def send(self, **parts: Any) -> None:
        self.device.stream_message(self.stream, p4r.StreamMessageRequest(**parts))

    def arbitrate(self, device_id: int = 1) -> int:
        """Returns the status code of the answer."""
        update = p4r.MasterArbitrationUpdate(device_id=device_id)
        if self.election_id is not None:
            update.election_id.low = self.election_id
        if self.role:
            update.role.name = self.role
        self.send(arbitration=update)
        return int(self.received[-1].arbitration.status.code)

    def election(self) -> Any:
        return p4r.Uint128(low=self.election_id or 0)

    def push(self, action: Any = 3, cookie: int | None = None, message: Any = None) -> None:
        self.device.set_pipeline(
            p4r.SetForwardingPipelineConfigRequest(
                device_id=1,
                election_id=self.election(),
                role=self.role,
                action=action,
                config=config(cookie) if message is None else message,
            )
        )

    def write(self, *updates: Any) -> list[int]:
        """Canonical codes of the updates."""
        request = p4r.WriteRequest(
            device_id=1, election_id=self.election(), role=self.role, updates=updates
        )
        return [0 if e is None else e.code for e in self.device.write(request)]

    def read(self, *entities: Any) -> list[Any]:
        request = p4r.ReadRequest(device_id=1, entities=entities)
        return [e for answer in self.device.read(request) for e in answer.entities]

    def take(self, kind: str) -> list[Any]:
        """Messages of one kind received so far; they are taken out."""
        found = [m for m in self.received if m.WhichOneof("update") == kind]
        self.received = [m for m in self.received if m.WhichOneof("update") != kind]
        return [getattr(m, kind) for m in found]


class Bench:
    """A switch with a program (the test program), a settable clock and ports 1 to 4."""

    def __init__(
        self, *, load: bool = True, message: Any = None, lacks: Collection[Part] = ()
    ) -> None:
        self.now = 1000 * SECOND
        self.switch = Switch(options=Options(seed=1))
        self.sent: list[tuple[int, bytes]] = []
        for port in range(1, 5):
            self.switch.add_port(port, partial(self._take, port))
        self.device = Device(self.switch, 1, lambda: self.now, lacks)
        self.controller = Controller(self.device)
        message = config() if message is None else message
        self.p4info = message.p4info
        if load:
            self.controller.arbitrate()
            self.controller.push(message=message)

    def _take(self, port: int, frame: bytes) -> None:
        self.sent.append((port, frame))

    def id_of(self, kind: str, name: str) -> int:
        for item in getattr(self.p4info, kind):
            if item.preamble.name.split(".")[-1] == name:
                return int(item.preamble.id)
        raise KeyError(name)

    def receive(self, port: int, frame: bytes) -> list[tuple[int, bytes]]:
        self.sent.clear()
        self.switch.receive(port, frame, self.now)
        return list(self.sent)

    def table_entry(
        self, table: str, action: str = "", args: tuple[bytes, ...] = (), **fields: Any
    ) -> Any:
        """A TableEntry; `match` is {field id: FieldMatch keyword and value}."""
        entry = p4r.TableEntry(table_id=self.id_of("tables", table))
        for field_id, (kind, value) in fields.pop("match", {}).items():
            item = entry.match.add(field_id=field_id)
            part = getattr(item, kind)
            for name, v in value.items():
                setattr(part, name, v)
        if action:
            entry.action.action.action_id = self.id_of("actions", action)
            for i, arg in enumerate(args, 1):
                entry.action.action.params.add(param_id=i, value=arg)
        for name, value in fields.items():
            setattr(entry, name, value)
        return entry

    def dmac(self, mac: int, port: int) -> Any:
        return self.table_entry(
            "dmac",
            "forward",
            (port.to_bytes(2, "big"),),
            match={1: ("exact", {"value": mac.to_bytes(6, "big")})},
        )


def update(kind: str, **entity: Any) -> Any:
    return p4r.Update(type=getattr(p4r.Update, kind), entity=p4r.Entity(**entity))
