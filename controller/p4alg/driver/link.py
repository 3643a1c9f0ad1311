"""One P4Runtime connection: engine updates out, engine events in.

`SwitchLink` wraps a finsy switch and hides finsy from the rest. It decides
nothing about traffic: it writes, reads and reports.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import finsy as fy
from finsy.switch import SwitchEvent, SwitchFailFastError

from p4alg.driver import codec
from p4alg.driver.gauges import DROPS, METERS, PUNTS
from p4alg.engine import events as ev
from p4alg.engine.actions import PacketOut
from p4alg.engine.reconcile import EntryKey, entry_key
from p4alg.engine.tables import Entry, Fragment, Op, PinholeEntry, Session, Update
from p4alg.p4constants import PacketOutFlags

_NOT_PRIMARY = "another controller is primary; stop it first"
# finsy drops what does not fit its reader queues; the punt meters of the
# program keep bursts below this.
_QUEUE = 65536
_DIGEST_TIMEOUT_NS = 5_000_000
_DIGEST_LIST = 64
_DIGEST_ACK_NS = 100_000_000
# Beyond about a thousand updates BMv2 loses error details; near a hundred
# batches are as fast as larger ones.
MAX_BATCH = 100


class LinkError(Exception):
    """The switch cannot be used; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The compiled program: BMv2 JSON and P4Info."""

    program: Path
    p4info: Path

    def verify(self) -> None:
        """Raise `LinkError` if a file is missing or not what it should be."""
        for path in (self.program, self.p4info):
            if not path.is_file():
                raise LinkError(f"{path}: not found; reinstall p4alg or run make p4")
        manifest = self.program.with_name("manifest.json")
        total = hashlib.sha256()
        try:
            wanted = json.loads(manifest.read_text(encoding="utf-8"))["artifacts_sha256"]
            # As p4src/build.py writes it.
            for path in (self.program, self.p4info):
                total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise LinkError(f"{manifest}: cannot be read; reinstall p4alg or run make p4") from None
        if total.hexdigest() != wanted:
            raise LinkError(
                f"{manifest}: is not the manifest of {self.program.name} and {self.p4info.name}; "
                "reinstall p4alg or run make p4"
            )


class SwitchLink:
    """An open, primary connection to a switch that runs the program."""

    def __init__(self, switch: fy.Switch) -> None:
        self._switch = switch
        self._pinhole_ids: dict[EntryKey, int] = {}
        # gRPC fails the whole stream when two messages are being sent on it at once.
        self._sending = asyncio.Lock()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        for event, reason in (
            (SwitchEvent.CHANNEL_DOWN, "the connection broke"),
            (SwitchEvent.SWITCH_STOP, "the connection broke"),
            (SwitchEvent.BECOME_BACKUP, "another controller became primary"),
        ):
            switch.ee.add_listener(event, lambda *_, reason=reason: self._lose(reason))

    def _lose(self, reason: str) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)

    async def lost(self) -> str:
        """Wait until the switch cannot be used any more; why that is."""
        return await asyncio.shield(self._lost)

    async def read_entries(self) -> list[Entry]:
        """Every entry in every table of the switch, defaults left out."""
        entries: list[Entry] = []
        # finsy declares an async generator's overloads as coroutines.
        wires = cast(AsyncIterator[fy.P4TableEntry], self._switch.read(fy.P4TableEntry()))
        async for wire in wires:
            entry = codec.decode(wire)
            if entry is not None:
                entries.append(entry)
                self._remember(Op.INSERT, entry)
        return entries

    async def write(self, updates: Sequence[Update]) -> dict[int, str]:
        """Write at most `MAX_BATCH` updates; return the refused ones, index to reason."""
        wire = [_wire_update(update) for update in updates]
        try:
            await self._switch.write(wire)
        except fy.P4ClientError as error:
            failed = {
                index: f"{detail.canonical_code.name}: {detail.message or 'refused'}"
                for index, detail in error.details.items()
                if detail.canonical_code != fy.GRPCStatusCode.OK
            }
            if not failed:
                failed = {i: f"{error.code.name}: {error.message}" for i in range(len(updates))}
        else:
            failed = {}
        for index, update in enumerate(updates):
            if index not in failed:
                self._remember(update.op, update.entry)
        return failed

    async def send(self, packets: Sequence[PacketOut]) -> None:
        """Hand frames to the switch, in order."""
        if packets:
            async with self._sending:
                await self._switch.write([_wire_packet(packet) for packet in packets])

    async def enable_digests(self) -> None:
        """Ask for the program's digests, keeping what is configured already."""
        entries = [
            # At once: a flow through a pinhole has no session until we know.
            fy.P4DigestEntry("pinhole_hit_t", max_list_size=1, ack_timeout_ns=_DIGEST_ACK_NS),
            fy.P4DigestEntry(
                "tcp_event_t",
                max_list_size=_DIGEST_LIST,
                max_timeout_ns=_DIGEST_TIMEOUT_NS,
                ack_timeout_ns=_DIGEST_ACK_NS,
            ),
        ]
        try:
            await self._switch.insert(entries)
        except fy.P4ClientError:
            await self._switch.modify(entries)

    async def set_meters(self) -> None:
        """Bound what each punt class may bring the controller."""
        await self._switch.write(
            [
                ~fy.P4MeterEntry(
                    "punt_meter",
                    index=int(punt),
                    config=fy.P4MeterConfig(
                        cir=rate.packets, cburst=rate.burst, pir=rate.packets, pburst=rate.burst
                    ),
                )
                for punt, rate in METERS.items()
            ]
        )

    async def counters(self) -> dict[str, int]:
        """Punts and drops counted by the switch: packets, by dotted name; zeroes left out."""
        found: dict[str, int] = {}
        for name, kind, words in (
            ("punt_counter", "punts", PUNTS),
            ("drop_counter", "drops", DROPS),
        ):
            wires = cast(
                AsyncIterator[fy.P4CounterEntry], self._switch.read(fy.P4CounterEntry(name))
            )
            async for wire in wires:
                word = words.get(wire.index or 0)
                if word is not None and wire.packet_count:
                    found[f"switch.{kind}.{word}"] = wire.packet_count
        return found

    async def state(self) -> dict[str, object]:
        """The running program, and how full its tables are."""
        info = self._switch.p4info
        counts = dict.fromkeys((table.alias for table in info.tables), 0)
        wires = cast(AsyncIterator[fy.P4TableEntry], self._switch.read(fy.P4TableEntry()))
        async for wire in wires:
            if not wire.is_default_action:
                counts[wire.table_id] = counts.get(wire.table_id, 0) + 1
        tables = {
            table.alias: {"entries": counts[table.alias], "size": table.size}
            for table in info.tables
        }
        return {"program": info.name or "p4alg", "tables": tables}

    async def packets(self) -> AsyncIterator[ev.Event]:
        """Punted packets, as they come."""
        async for packet in self._switch.read_packets(queue_size=_QUEUE):
            meta = packet.metadata
            yield ev.PacketIn(
                port=meta["ingress_port"],
                reason=ev.Reason(meta["reason"]),
                alg_id=meta["alg_id"],
                hairpin=bool(meta["hairpin"]),
                frame=packet.payload,
            )

    async def tcp_events(self) -> AsyncIterator[ev.Event]:
        """FIN, RST and handshakes of sessions; acknowledged as they are taken."""
        async for digest in self._digests("tcp_event_t"):
            yield ev.TcpEvent(
                codec.decode_flow(digest),
                digest["flags"],
                bool(digest["outbound"]),
                bool(digest["established"]),
            )

    async def pinhole_hits(self) -> AsyncIterator[ev.Event]:
        """Packets that pinholes let through; acknowledged as they are taken."""
        async for digest in self._digests("pinhole_hit_t"):
            yield ev.PinholeHit(codec.decode_flow(digest), digest["pinhole_id"])

    async def idle_timeouts(self) -> AsyncIterator[ev.Event]:
        """Entries that went unused for their idle timeout."""
        async for notice in self._switch.read_idle_timeouts(queue_size=_QUEUE):
            for wire in notice:
                event = self._idle_event(wire)
                if event is not None:
                    yield event

    async def _digests(self, name: str) -> AsyncIterator[dict[str, int]]:
        async for digests in self._switch.read_digests(name, queue_size=_QUEUE):
            for data in digests:
                assert isinstance(data, dict)
                yield codec.plain(data)
            async with self._sending:
                await self._switch.write([digests.ack()])

    def _idle_event(self, wire: fy.P4TableEntry) -> ev.Event | None:
        # BMv2 reports the key without the action, so a pinhole is not named.
        key = codec.decode_key(wire)
        table, fields = key
        if table is Session:
            return ev.SessionIdle(fields)
        if table is Fragment:
            return ev.FragmentIdle(*fields)
        pinhole_id = self._pinhole_ids.get(key)
        return None if pinhole_id is None else ev.PinholeIdle(pinhole_id)

    def _remember(self, op: Op, entry: Entry) -> None:
        if isinstance(entry, PinholeEntry):
            key = entry_key(entry)
            if op is Op.DELETE:
                self._pinhole_ids.pop(key, None)
            else:
                self._pinhole_ids[key] = entry.pinhole_id


@asynccontextmanager
async def connect(
    address: str, device_id: int, artifacts: Artifacts, timeout: float = 10.0
) -> AsyncIterator[SwitchLink]:
    """Connect as primary and push the program unless the switch runs it already.

    Raises `LinkError` if the switch cannot be reached in `timeout` seconds,
    runs another program, or another controller is primary.
    """
    artifacts.verify()
    options = fy.SwitchOptions(
        p4info=artifacts.p4info, p4blob=artifacts.program, device_id=device_id, fail_fast=True
    )
    await _refuse_other_program(address, device_id, options, timeout)
    switch = fy.Switch("gateway", address, options)
    try:
        async with asyncio.timeout(timeout):
            await switch.__aenter__()
    except TimeoutError:
        raise LinkError(f"{address}: no answer from the switch in {timeout:g} s") from None
    except SwitchFailFastError:
        raise LinkError(f"{address}: {_NOT_PRIMARY}") from None
    except fy.P4ClientError as error:
        raise LinkError(f"{address}: the switch refuses: {_first_line(error.message)}") from None
    try:
        if not switch.is_primary:
            raise LinkError(f"{address}: {_NOT_PRIMARY}")
        yield SwitchLink(switch)
    finally:
        # It raises this when the connection was lost, which whoever used it
        # has noticed by then.
        with suppress(SwitchFailFastError):
            await switch.__aexit__(None, None, None)


async def _refuse_other_program(
    address: str, device_id: int, options: fy.SwitchOptions, timeout: float
) -> None:
    """Raise `LinkError` if nobody answers or a program that is not ours is running."""
    probe = fy.Switch("probe", address, fy.SwitchOptions(device_id=device_id, fail_fast=True))
    try:
        async with asyncio.timeout(timeout), probe:
            running = probe.p4info
            ours = fy.P4Schema(options.p4info)
            if running.exists and {t.name for t in running.tables} != {t.name for t in ours.tables}:
                raise LinkError(
                    f"{address}: the switch runs another program ({running.name or 'unnamed'}); "
                    "restart it without a program"
                )
    except TimeoutError:
        raise LinkError(
            f"{address}: no answer from the switch in {timeout:g} s; "
            "start it or correct the address"
        ) from None
    except SwitchFailFastError:
        # finsy keeps the status to itself.
        raise LinkError(
            f"{address}: {_NOT_PRIMARY}, or correct the device id if it is not {device_id}"
        ) from None
    except fy.P4ClientError as error:
        raise LinkError(
            f"{address}: cannot use the switch ({_first_line(error.message)}); "
            "start it or correct address and device id"
        ) from None


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"


def _wire_update(update: Update) -> Any:
    match update.op:
        case Op.INSERT:
            return +codec.encode(update.entry)
        case Op.MODIFY:
            return ~codec.encode(update.entry)
        case Op.DELETE:
            return -codec.encode_key(update.entry)


def _wire_packet(packet: PacketOut) -> fy.P4PacketOut:
    if packet.egress_port is not None:
        return fy.P4PacketOut(packet.frame, port=packet.egress_port, flags=0)
    flags = PacketOutFlags.PIPELINE
    if packet.sequence_is_final:
        flags |= PacketOutFlags.SEQUENCE_FINAL
    if packet.hairpin:
        flags |= PacketOutFlags.HAIRPIN
    return fy.P4PacketOut(packet.frame, port=packet.ingress_port, flags=int(flags))
