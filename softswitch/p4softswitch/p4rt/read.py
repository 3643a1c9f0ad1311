"""The Read request: turns state into entities, one at a time so that no answer grows too large."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from p4softswitch.executor.interface import Executor
from p4softswitch.p4rt import bytestring, cells, entries
from p4softswitch.p4rt.codes import INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, RpcError
from p4softswitch.p4rt.proto import p4r
from p4softswitch.p4rt.schema import Schema, TableInfo
from p4softswitch.state.arrays import RegisterStore
from p4softswitch.state.replication import Replica
from p4softswitch.state.tables import Entry, TableStore

_CELLS = 480
"""Cells of a register that are taken out of the array at once."""

_SEARCHED, _FEW_KEYS = 4096, 8
"""Cells that are looked at while packets are kept out, if there are few keys; else an eighth."""
_SENT = 1000
"""Cells that are enough for an answer. It has at most `_SEARCHED` more."""

_ZERO = bytestring.encode(0)

_T = TypeVar("_T")


class Reader:
    """Reads the state of one program."""

    def __init__(self, schema: Schema, executor: Executor) -> None:
        self.schema = schema
        self.state = executor.state

    def entities(self, request: Any, now: int) -> Iterator[Any]:
        """Entities that one requested entity stands for, at time `now`; may raise `RpcError`."""
        kind = request.WhichOneof("entity")
        match kind:
            case "table_entry":
                return self._tables(request.table_entry, now)
            case "direct_counter_entry":
                return self._direct(request.direct_counter_entry, "counter")
            case "direct_meter_entry":
                return self._direct(request.direct_meter_entry, "meter")
            case "counter_entry":
                return self._counters(request.counter_entry)
            case "meter_entry":
                return self._meters(request.meter_entry)
            case "register_entry":
                return self._registers(request.register_entry)
            case "packet_replication_engine_entry":
                return self._replication(request.packet_replication_engine_entry)
            case "digest_entry":
                return self._digests(request.digest_entry)
            case "action_profile_member" | "action_profile_group":
                if getattr(request, kind).action_profile_id:
                    raise RpcError(NOT_FOUND, "the program has no action profiles")
                return iter(())
            case None:
                raise RpcError(INVALID_ARGUMENT, "read request has an empty entity")
        raise RpcError(UNIMPLEMENTED, f"{kind} cannot be read on this switch")

    # --- tables ----------------------------------------------------------------------------

    def _tables(self, request: Any, now: int) -> Iterator[Any]:
        for info, store, found in self._select(request):
            if request.is_default_action:
                yield self._default_entity(info, store)
                continue
            wanted = request.action.action.action_id
            for entry in found:
                entity = p4r.Entity()
                message = entity.table_entry
                message.table_id = info.id
                entries.write_matches(info, entry, message)
                entries.write_action(self.schema, entry, message)
                if wanted and message.action.action.action_id != wanted:
                    continue
                if request.controller_metadata and (
                    request.controller_metadata != entry.controller_metadata
                ):
                    continue
                message.controller_metadata = entry.controller_metadata
                message.metadata = entry.metadata
                message.idle_timeout_ns = entry.idle_timeout_ns
                message.is_const = entry.constant
                if request.HasField("counter_data") and info.counter:
                    message.counter_data.packet_count = entry.packets
                    message.counter_data.byte_count = entry.bytes
                if request.HasField("meter_config") and entry.meter:
                    entries.write_meter(entry.meter, message.meter_config)
                if request.HasField("time_since_last_hit") and info.idle_timeout:
                    message.time_since_last_hit.elapsed_ns = max(0, now - entry.last_hit)
                yield entity

    def _default_entity(self, info: TableInfo, store: TableStore) -> Any:
        entity = p4r.Entity()
        message = entity.table_entry
        message.table_id = info.id
        message.is_default_action = True
        entries.write_action(self.schema, store.default, message)
        message.controller_metadata = store.default.controller_metadata
        message.metadata = store.default.metadata
        return entity

    def _select(self, request: Any) -> Iterator[tuple[TableInfo, TableStore, Iterable[Entry]]]:
        """Tables and entries that a TableEntry stands for; if it has a key, that key exactly."""
        if request.table_id == 0:
            if request.match or request.priority:
                raise RpcError(INVALID_ARGUMENT, "a read of all tables has no key and no priority")
            for info in self.schema.tables.values():
                store = self.state.tables[info.name]
                yield info, store, store.entries()
            return
        info = entries.table_of(self.schema, request.table_id)
        store = self.state.tables[info.name]
        if request.is_default_action:
            yield info, store, ()
        elif request.match:
            matches = entries.read_matches(info, request)
            if info.needs_priority and not request.priority:
                # Without a priority, entries with that key and any priority are meant.
                yield info, store, [e for e in store.entries() if e.matches == matches]
            else:
                yield info, store, [store.find(matches, entries.read_priority(info, request))]
        else:
            every: Iterable[Entry] = store.entries()
            if request.priority:
                every = [e for e in every if e.priority == request.priority]
            yield info, store, every

    def _direct(self, request: Any, resource: str) -> Iterator[Any]:
        for info, _, found in self._select(request.table_entry):
            if request.table_entry.is_default_action:
                raise RpcError(UNIMPLEMENTED, "default entries have no counters or meters")
            if not (info.counter if resource == "counter" else info.meter):
                if request.table_entry.table_id:
                    raise RpcError(INVALID_ARGUMENT, f"table {info.name} has no direct {resource}")
                continue
            for entry in found:
                entity = p4r.Entity()
                if resource == "counter":
                    counter = entity.direct_counter_entry
                    counter.data.packet_count = entry.packets
                    counter.data.byte_count = entry.bytes
                    key = counter.table_entry
                else:
                    meter = entity.direct_meter_entry
                    if entry.meter is not None:
                        entries.write_meter(entry.meter, meter.config)
                    key = meter.table_entry
                key.table_id = info.id
                entries.write_matches(info, entry, key)
                yield entity

    # --- arrays ----------------------------------------------------------------------------

    def _counters(self, request: Any) -> Iterator[Any]:
        for number, name in _chosen(self.schema.counters, request.counter_id, "counter"):
            store = self.state.counters[name]
            for index in _indices(request, store.size):
                entity = p4r.Entity()
                part = entity.counter_entry
                part.counter_id, part.index.index = number, index
                part.data.packet_count, part.data.byte_count = store.read(index)
                yield entity

    def _meters(self, request: Any) -> Iterator[Any]:
        for number, name in _chosen(self.schema.meters, request.meter_id, "meter"):
            store = self.state.meters[name]
            for index in _indices(request, store.size):
                entity = p4r.Entity()
                part = entity.meter_entry
                part.meter_id, part.index.index = number, index
                config = store.config(index)
                if config is not None:
                    entries.write_meter(config, part.config)
                yield entity

    def _registers(self, request: Any) -> Iterator[Any]:
        """Cells are read when their turn comes: packets are forwarded in between."""
        wanted = request.register_id
        for _, info in _chosen(self.schema.registers, wanted, "register"):
            if not info.is_bits:
                if wanted:
                    raise RpcError(UNIMPLEMENTED, f"cells of register {info.name} are not bit<W>")
                continue
            store = self.state.registers[info.name]
            start, stop = 0, store.size
            if request.HasField("index"):
                store.check_index(request.index.index)
                start, stop = request.index.index, request.index.index + 1
            for first in range(start, stop, _CELLS):
                values = store.values(first, min(first + _CELLS, stop))
                for index, value in enumerate(values, first):
                    entity = p4r.Entity()
                    part = entity.register_entry
                    part.register_id, part.index.index = info.id, index
                    part.data.bitstring = bytestring.encode(value) if value else _ZERO
                    yield entity

    def arrays(self, request: Any, keys: Sequence[cells.Key] | None = None) -> Iterator[Any] | None:
        """Answers with the cells of one register; None if something else is requested.

        All of them, or with `keys` as `cells.wanted` has it. Cells are read when their turn comes:
        packets are forwarded in between. May raise `RpcError`.
        """
        part = request.register_entry
        info = self.schema.registers.get(part.register_id)
        if request.WhichOneof("entity") != "register_entry" or part.HasField("index"):
            return None
        if info is None or not info.is_bits or not cells.is_short(info.width):
            return None
        store = self.state.registers[info.name]
        if keys is not None:
            if any(part >> info.width for key in keys for part in key):
                text = f"a key of {cells.HINT} is wider than register {info.name}"
                raise RpcError(INVALID_ARGUMENT, text)
            return _found(info.id, store, keys)
        return (
            cells.answer(
                info.id, enumerate(store.values(first, min(first + _CELLS, store.size)), first)
            )
            for first in range(0, store.size, _CELLS)
        )

    # --- replication and digests -----------------------------------------------------------

    def _replication(self, request: Any) -> Iterator[Any]:
        store = self.state.replication
        match request.WhichOneof("type"):
            case "multicast_group_entry":
                wanted = request.multicast_group_entry.multicast_group_id
                groups = [g for g in store.groups() if wanted in (0, g.id)]
                if wanted and not groups:
                    raise RpcError(NOT_FOUND, f"there is no multicast group {wanted}")
                for group in groups:
                    entity = p4r.Entity()
                    part = entity.packet_replication_engine_entry.multicast_group_entry
                    part.multicast_group_id, part.metadata = group.id, group.metadata
                    _write_replicas(group.replicas, part.replicas)
                    yield entity
            case "clone_session_entry":
                wanted = request.clone_session_entry.session_id
                sessions = [s for s in store.sessions() if wanted in (0, s.id)]
                if wanted and not sessions:
                    raise RpcError(NOT_FOUND, f"there is no clone session {wanted}")
                for session in sessions:
                    entity = p4r.Entity()
                    copy = entity.packet_replication_engine_entry.clone_session_entry
                    copy.session_id = session.id
                    copy.class_of_service = session.class_of_service
                    copy.packet_length_bytes = session.truncate_to
                    _write_replicas(session.replicas, copy.replicas)
                    yield entity
            case _:
                raise RpcError(INVALID_ARGUMENT, "replication entry is empty")

    def _digests(self, request: Any) -> Iterator[Any]:
        wanted = request.digest_id
        if wanted and wanted not in self.schema.digests:
            raise RpcError(NOT_FOUND, f"there is no digest with id {wanted:#x}")
        for info in self.schema.digests.values():
            config = self.state.digests[info.learn_id].config
            if wanted not in (0, info.id) or config is None:
                continue
            entity = p4r.Entity()
            part = entity.digest_entry
            part.digest_id = info.id
            part.config.max_timeout_ns = config.max_timeout_ns
            part.config.max_list_size = config.max_list_size
            part.config.ack_timeout_ns = config.ack_timeout_ns
            yield entity


def _found(register_id: int, store: RegisterStore, keys: Sequence[cells.Key]) -> Iterator[Any]:
    """Answers with the cells that hold something, or match a key."""
    waiting: list[tuple[int, int]] = []
    searched = _SEARCHED if len(keys) <= _FEW_KEYS else _SEARCHED // 8
    for first in range(0, store.size, searched):
        waiting += store.find(first, min(first + searched, store.size), keys)
        if len(waiting) >= _SENT:
            yield cells.answer(register_id, waiting)
            waiting = []
    yield cells.answer(register_id, waiting)


def _chosen(objects: Mapping[int, _T], wanted: int, what: str) -> list[tuple[int, _T]]:
    if wanted == 0:
        return list(objects.items())
    if wanted not in objects:
        raise RpcError(NOT_FOUND, f"there is no {what} with id {wanted:#x}")
    return [(wanted, objects[wanted])]


def _indices(request: Any, size: int) -> Iterable[int]:
    return [request.index.index] if request.HasField("index") else range(size)


def _write_replicas(replicas: tuple[Replica, ...], messages: Any) -> None:
    for replica in replicas:
        messages.add(egress_port=replica.port, instance=replica.instance)


def digest_message(info: Any, samples: Iterable[tuple[int, ...]], list_id: int, now: int) -> Any:
    """The DigestList message for samples of a digest."""
    message = p4r.DigestList(digest_id=info.id, list_id=list_id, timestamp=now)
    for sample in samples:
        data = message.data.add()
        if info.bare and len(sample) == 1:
            data.bitstring = bytestring.encode(sample[0])
            continue
        for value in sample:
            data.struct.members.add(bitstring=bytestring.encode(value))
    return message
