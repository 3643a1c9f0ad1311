"""Everything a loaded program keeps at run time, built from the program."""

from __future__ import annotations

from p4softswitch.program.model import Program
from p4softswitch.state.arrays import CounterStore, RegisterStore
from p4softswitch.state.digests import DigestStore
from p4softswitch.state.meters import MeterStore
from p4softswitch.state.replication import ReplicationStore
from p4softswitch.state.tables import TableStore


class SwitchState:
    """Stores by the name that the program gives them (digests by learn list id)."""

    def __init__(self, program: Program) -> None:
        self.replication = ReplicationStore()
        self.counters = {
            c.name: CounterStore(c.name, c.size)
            for c in program.counters.values()
            if c.table is None
        }
        self.meters = {
            m.name: MeterStore(m.size, m.bytes_unit)
            for m in program.meters.values()
            if m.table is None
        }
        self.registers = {
            r.name: RegisterStore(r.name, r.size, r.width) for r in program.registers.values()
        }
        self.digests = {d.id: DigestStore(d.name) for d in program.learn_lists.values()}
        self.tables = {}
        for table in program.tables().values():
            direct = program.meters.get(table.direct_meter) if table.direct_meter else None
            self.tables[table.name] = TableStore(table, direct is not None and direct.bytes_unit)
