"""The Write request: applies updates one by one, each with an error of its own."""

from __future__ import annotations

from typing import Any

from p4softswitch.errors import Reason, StateError
from p4softswitch.executor.interface import Executor
from p4softswitch.p4rt import bytestring, entries
from p4softswitch.p4rt.codes import INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, RpcError
from p4softswitch.p4rt.proto import p4r
from p4softswitch.p4rt.schema import Schema, TableInfo
from p4softswitch.state.digests import DigestConfig
from p4softswitch.state.replication import CloneSession, MulticastGroup, Replica
from p4softswitch.state.tables import Entry, TableStore

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


class Writer:
    """Applies updates to the state of one program."""

    def __init__(self, schema: Schema, executor: Executor) -> None:
        self.schema = schema
        self.state = executor.state

    def apply(self, update: Any, now: int) -> RpcError | None:
        """Apply one update at time `now`; returns why it was refused, None if it was not."""
        if update.type not in (INSERT, MODIFY, DELETE):
            return RpcError(INVALID_ARGUMENT, "update has no type")
        kind = update.entity.WhichOneof("entity")
        try:
            match kind:
                case "table_entry":
                    self._table(update.type, update.entity.table_entry, now)
                case "direct_counter_entry":
                    self._direct_counter(update.type, update.entity.direct_counter_entry)
                case "direct_meter_entry":
                    self._direct_meter(update.type, update.entity.direct_meter_entry, now)
                case "counter_entry":
                    self._counter(update.type, update.entity.counter_entry)
                case "meter_entry":
                    self._meter(update.type, update.entity.meter_entry, now)
                case "register_entry":
                    self._register(update.type, update.entity.register_entry)
                case "packet_replication_engine_entry":
                    self._replication(update.type, update.entity.packet_replication_engine_entry)
                case "digest_entry":
                    self._digest(update.type, update.entity.digest_entry)
                case None:
                    return RpcError(INVALID_ARGUMENT, "update has no entity")
                case _:
                    return RpcError(UNIMPLEMENTED, f"{kind} cannot be written on this switch")
        except RpcError as exc:
            return exc
        except StateError as exc:
            return RpcError.of(exc)
        return None

    # --- tables ----------------------------------------------------------------------------

    def _table(self, kind: int, message: Any, now: int) -> None:
        info = entries.table_of(self.schema, message.table_id)
        store = self.state.tables[info.name]
        if message.HasField("time_since_last_hit"):
            raise RpcError(INVALID_ARGUMENT, "time_since_last_hit cannot be written")
        if message.is_default_action:
            self._default(kind, info, store, message)
            return
        if info.is_const:
            raise StateError(Reason.PERMISSION_DENIED, f"table {info.name} has constant entries")
        matches = entries.read_matches(info, message)
        priority = entries.read_priority(info, message)
        if kind == DELETE:
            store.delete(matches, priority)
            return
        self._check_resources(info, message)
        if kind == INSERT:
            if not message.HasField("action"):
                raise RpcError(INVALID_ARGUMENT, "a new entry needs an action")
            action, args = entries.read_action(self.schema, info, message, False)
            entry = store.insert(matches, priority, action, args, now)
        else:
            entry = store.find(matches, priority)
            if message.HasField("action"):
                action, args = entries.read_action(self.schema, info, message, False)
                entry = store.modify(matches, priority, action, args)
            if message.idle_timeout_ns != entry.idle_timeout_ns:
                entry.last_hit = now
        entry.idle_timeout_ns = message.idle_timeout_ns
        entry.controller_metadata = message.controller_metadata
        entry.metadata = message.metadata
        self._set_resources(store, entry, message, now)

    def _check_resources(self, info: TableInfo, message: Any) -> None:
        """Refuse what has to be refused, before anything is changed."""
        if message.idle_timeout_ns < 0:
            raise RpcError(INVALID_ARGUMENT, "idle timeout is negative")
        if message.idle_timeout_ns and not info.idle_timeout:
            raise RpcError(INVALID_ARGUMENT, f"table {info.name} has no idle timeouts")
        if message.HasField("counter_data") and not info.counter:
            raise RpcError(INVALID_ARGUMENT, f"table {info.name} has no direct counter")
        if message.HasField("meter_config"):
            if not info.meter:
                raise RpcError(INVALID_ARGUMENT, f"table {info.name} has no direct meter")
            entries.read_meter(message.meter_config)

    def _set_resources(self, store: TableStore, entry: Entry, message: Any, now: int) -> None:
        if message.HasField("counter_data"):
            counter = message.counter_data
            entry.set_counter(counter.packet_count, counter.byte_count)
        if message.HasField("meter_config"):
            store.configure_meter(entry, entries.read_meter(message.meter_config), now)

    def _default(self, kind: int, info: TableInfo, store: TableStore, message: Any) -> None:
        if kind != MODIFY:
            raise RpcError(INVALID_ARGUMENT, "the default action can be modified only")
        if message.match or message.priority or message.idle_timeout_ns:
            raise RpcError(INVALID_ARGUMENT, "the default action has no key, priority or timeout")
        if info.const_default:
            raise StateError(
                Reason.PERMISSION_DENIED, f"table {info.name} has a constant default action"
            )
        if message.HasField("action"):
            action, args = entries.read_action(self.schema, info, message, True)
            store.set_default(action, args)
        else:
            store.set_default(None, ())
        store.default.controller_metadata = message.controller_metadata
        store.default.metadata = message.metadata

    def _entry_of(self, message: Any) -> tuple[TableInfo, TableStore, Entry]:
        info = entries.table_of(self.schema, message.table_entry.table_id)
        if message.table_entry.is_default_action:
            raise RpcError(UNIMPLEMENTED, "default entries have no counters or meters, as on BMv2")
        store = self.state.tables[info.name]
        matches = entries.read_matches(info, message.table_entry)
        priority = entries.read_priority(info, message.table_entry)
        return info, store, store.find(matches, priority)

    def _direct_counter(self, kind: int, message: Any) -> None:
        if kind == INSERT:
            raise RpcError(INVALID_ARGUMENT, "counters can be modified only")
        info, _, entry = self._entry_of(message)
        if not info.counter:
            raise RpcError(INVALID_ARGUMENT, f"table {info.name} has no direct counter")
        data = message.data if kind == MODIFY else p4r.CounterData()
        entry.set_counter(data.packet_count, data.byte_count)

    def _direct_meter(self, kind: int, message: Any, now: int) -> None:
        if kind != MODIFY:
            raise RpcError(INVALID_ARGUMENT, "meters can be modified only")
        info, store, entry = self._entry_of(message)
        if not info.meter:
            raise RpcError(INVALID_ARGUMENT, f"table {info.name} has no direct meter")
        config = entries.read_meter(message.config) if message.HasField("config") else None
        store.configure_meter(entry, config, now)

    # --- arrays ----------------------------------------------------------------------------

    def _counter(self, kind: int, message: Any) -> None:
        name = self.schema.counters.get(message.counter_id)
        if name is None:
            raise RpcError(NOT_FOUND, f"there is no counter with id {message.counter_id:#x}")
        if kind == INSERT:
            raise RpcError(INVALID_ARGUMENT, "counters can be modified only")
        if not message.HasField("index"):
            raise RpcError(UNIMPLEMENTED, "a counter is written cell by cell")
        data = message.data if kind == MODIFY else p4r.CounterData()
        counter = self.state.counters[name]
        counter.write(message.index.index, data.packet_count, data.byte_count)

    def _meter(self, kind: int, message: Any, now: int) -> None:
        name = self.schema.meters.get(message.meter_id)
        if name is None:
            raise RpcError(NOT_FOUND, f"there is no meter with id {message.meter_id:#x}")
        if kind != MODIFY:
            raise RpcError(INVALID_ARGUMENT, "meters can be modified only")
        if not message.HasField("index"):
            raise RpcError(UNIMPLEMENTED, "a meter is written cell by cell")
        config = entries.read_meter(message.config) if message.HasField("config") else None
        self.state.meters[name].configure(message.index.index, config, now)

    def _register(self, kind: int, message: Any) -> None:
        info = self.schema.registers.get(message.register_id)
        if info is None:
            raise RpcError(NOT_FOUND, f"there is no register with id {message.register_id:#x}")
        if kind != MODIFY:
            raise RpcError(INVALID_ARGUMENT, "registers can be modified only")
        if not info.is_bits:
            raise RpcError(UNIMPLEMENTED, f"cells of register {info.name} are not bit<W>")
        if message.data.WhichOneof("data") != "bitstring":
            raise RpcError(INVALID_ARGUMENT, f"register {info.name}: data is not a bitstring")
        value = bytestring.decode(message.data.bitstring, info.width, f"register {info.name}")
        store = self.state.registers[info.name]
        if not message.HasField("index"):
            store.fill(value)
            return
        store.check_index(message.index.index)
        store.write(message.index.index, value)

    # --- replication and digests -----------------------------------------------------------

    def _replication(self, kind: int, message: Any) -> None:
        store = self.state.replication
        match message.WhichOneof("type"):
            case "multicast_group_entry":
                entry = message.multicast_group_entry
                group_id = entry.multicast_group_id
                if kind == DELETE:
                    store.delete_group(group_id)
                    return
                group = MulticastGroup(group_id, _replicas(entry.replicas), entry.metadata)
                store.insert_group(group) if kind == INSERT else store.modify_group(group)
            case "clone_session_entry":
                entry = message.clone_session_entry
                if kind == DELETE:
                    store.delete_session(entry.session_id)
                    return
                session = CloneSession(
                    entry.session_id,
                    _replicas(entry.replicas),
                    entry.class_of_service,
                    entry.packet_length_bytes,
                )
                store.insert_session(session) if kind == INSERT else store.modify_session(session)
            case _:
                raise RpcError(INVALID_ARGUMENT, "replication entry is empty")

    def _digest(self, kind: int, message: Any) -> None:
        info = self.schema.digests.get(message.digest_id)
        if info is None:
            raise RpcError(NOT_FOUND, f"there is no digest with id {message.digest_id:#x}")
        store = self.state.digests[info.learn_id]
        if kind == DELETE:
            store.configure(None, exists=True)
            return
        config = message.config
        store.configure(
            DigestConfig(config.max_timeout_ns, config.max_list_size, config.ack_timeout_ns),
            exists=kind == MODIFY,
        )


def _replicas(messages: Any) -> tuple[Replica, ...]:
    replicas = []
    for message in messages:
        if message.WhichOneof("port_kind") == "port":
            if not 0 < len(message.port) <= 4:
                raise RpcError(INVALID_ARGUMENT, "replica port is not 1 to 4 bytes long")
            port = int.from_bytes(message.port, "big")
        else:
            port = message.egress_port
        if port > 511:
            raise RpcError(INVALID_ARGUMENT, f"replica port {port} does not fit in 9 bits")
        replicas.append(Replica(port, message.instance))
    return tuple(replicas)
