"""Everything a loaded program keeps at run time, built from the program."""

from __future__ import annotations

from p4softswitch.program.model import Program
from p4softswitch.state.arrays import CounterStore, RegisterStore
from p4softswitch.state.digests import DigestStore
from p4softswitch.state.meters import MeterStore
from p4softswitch.state.replication import ReplicationStore, Sink
from p4softswitch.state.tables import TableStore


class SwitchState:
    """Stores by the name that the program gives them (digests by learn list id)."""

    def __init__(self, program: Program, sink: Sink) -> None:
        self.replication = ReplicationStore(sink)
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
        widths = {a.id: [width for _, width in a.params] for a in program.actions.values()}
        for table in program.tables().values():
            direct = program.meters.get(table.direct_meter) if table.direct_meter else None
            bytes_unit = direct is not None and direct.bytes_unit
            self.tables[table.name] = TableStore(table, widths, bytes_unit)

    def address(self, kind: str, name: str | int) -> int:
        """Where native code finds an object: a table, counter, meter, register or digest."""
        match kind:
            case "table":
                return self.tables[str(name)].pointer
            case "counter":
                return self.counters[str(name)].address
            case "meter":
                return self.meters[str(name)].address
            case "register":
                return self.registers[str(name)].address
        return self.digests[int(name)].address
