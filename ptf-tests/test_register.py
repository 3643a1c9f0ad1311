"""Registers over P4Runtime, by p4runtime-shell's client: cells as the contract describes them.

BMv2 has no access to registers: there it is only shown that it says so.
"""

from ipaddress import IPv4Address

import grpc
import p4runtime_sh.shell as sh
from p4.v1 import p4runtime_pb2
from ptf import testutils

from base import (
    OUTSIDE,
    POOL_IP,
    SERVER_IP,
    TCP,
    UDP,
    Drop,
    inward,
)
from cells import session_indices, session_key, slot_index, slot_tag
from plain import BASE, PlainTest
from program import Phase

FAR = 0x7FFFFFFF
"""A tick in years."""


class _Registers(PlainTest):
    def setUp(self):
        super().setUp()
        if testutils.test_params_get()["target"] == "bmv2":
            assert self.refusal() is grpc.StatusCode.UNIMPLEMENTED
            self.skipTest("BMv2 answers UNIMPLEMENTED: no registers over P4Runtime")

    def refusal(self):
        """The status with which reading a cell is refused, if it is."""
        try:
            self.read("slot_cell", 0)
        except grpc.RpcError as error:
            return error.code()
        return None

    def read(self, name, index):
        """The value of a cell."""
        (part,) = sh.client.read_one(_register(name, index))
        (entity,) = part.entities
        assert entity.register_entry.index.index == index
        return int.from_bytes(entity.register_entry.data.bitstring, "big")

    def read_all(self, name):
        """The values of all cells, by index."""
        entities = [e for part in sh.client.read_one(_register(name)) for e in part.entities]
        cells = [entity.register_entry for entity in entities]
        return {cell.index.index: int.from_bytes(cell.data.bitstring, "big") for cell in cells}

    def write(self, name, index, value):
        """Set a cell."""
        update = p4runtime_pb2.Update(type=p4runtime_pb2.Update.MODIFY)
        update.entity.CopyFrom(_register(name, index))
        size = max(1, (value.bit_length() + 7) // 8)
        update.entity.register_entry.data.bitstring = value.to_bytes(size, "big")
        sh.client.write_update(update)

    def slot(self, proto, port):
        """Index of the cell of an outside port of the client, and the port's tag."""
        tag = slot_tag(proto, self.number, port)
        return slot_index(tag, way=port >> 1 & 3), tag

    def session(self, proto, inside_id, remote_id):
        """Indices of the cells of a flow with the server, and its key."""
        key = session_key(proto, self.number, inside_id, SERVER_IP, remote_id)
        return session_indices(key), key


def _info(name):
    """What P4Info says of a register; the shell has no list of them."""
    (found,) = [one for one in sh.context.p4info.registers if one.preamble.alias == name]
    return found


def _register(name, index=None):
    """The message that names a cell, or all of them."""
    entity = p4runtime_pb2.Entity()
    entity.register_entry.register_id = _info(name).preamble.id
    if index is not None:
        entity.register_entry.index.index = index
    return entity


class ACellOfASlotSaysWhoseThePortIs(_Registers):
    def runTest(self):
        for way, sport in enumerate((5000, 5002, 5004)):
            index, tag = self.slot(17, BASE + 2 * way)
            assert self.read("slot_cell", index) == 0
            self.passes_out(UDP(sport=sport, dport=53), BASE + 2 * way)
            assert self.read("slot_cell", index) == tag << 16 | sport


class ACellOfASessionHasItsWholeKeyAndItsPhase(_Registers):
    def runTest(self):
        indices, key = self.session(17, 5000, 53)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)
        (index,) = [index for index in indices if self.read("session_cell", index) == key]
        phase = self.read("session_state", index) >> 32 & 0xFF
        assert phase == Phase.INSIDE_SYN | Phase.OUTSIDE_SYN


class AnEndIsCountedInTicksFromNow(_Registers):
    def runTest(self):
        self.add_timer(1000, proto=17, server_id=53)
        self.add_timer(4000, proto=17, server_id=54)
        index, _ = self.slot(17, BASE)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        first = self.read("slot_state", index) & 0xFFFFFFFF
        self.passes_out(UDP(sport=5000, dport=54), BASE)
        later = self.read("slot_state", index) & 0xFFFFFFFF
        # The two packets are a few ticks apart at most.
        assert 3000 <= later - first < 3050, (first, later)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        assert self.read("slot_state", index) & 0xFFFFFFFF == later


class AConnectionIsCountedOpenOnItsSlotAndItsLastNumberKept(_Registers):
    def runTest(self):
        self.add_timer(1000, proto=6)
        index, _ = self.slot(6, BASE)
        for opened, port in enumerate((80, 81), 1):
            self.passes_out(TCP(sport=5000, dport=port, flags="S"), BASE)
            self.passes_in(TCP(sport=port, dport=BASE, flags="SA"), 5000)
            self.passes_out(TCP(sport=5000, dport=port, flags="A", ack=0xDEADBEEF), BASE)
            assert self.read("slot_state", index) >> 32 == opened
        indices, key = self.session(6, 5000, 81)
        (cell,) = [index for index in indices if self.read("session_cell", index) == key]
        assert self.read("session_state", cell) & 0xFFFFFFFF == 0xDEADBEEF
        self.passes_out(TCP(sport=5000, dport=81, flags="R"), BASE)
        assert self.read("slot_state", index) >> 32 == 1


class AFlowThatIsWrittenIsOne(_Registers):
    """So that a flow can be moved to another switch."""

    def runTest(self):
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(UDP(sport=53, dport=BASE + 2)))
        slot, tag = self.slot(17, BASE + 2)
        self.write("slot_cell", slot, tag << 16 | 5000)
        self.write("slot_state", slot, FAR)
        (*_, last), key = self.session(17, 5000, 53)
        self.write("session_cell", last, key)
        self.write("session_state", last, FAR << 40)
        self.passes_in(UDP(sport=53, dport=BASE + 2), 5000)
        self.passes_out(UDP(sport=5000, dport=53), BASE + 2)
        self.write("session_cell", last, 0)
        self.write("slot_cell", slot, 0)


class ACellThatIsEmptiedIsFree(_Registers):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        index, _ = self.slot(17, BASE)
        self.write("slot_cell", index, 0)
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(UDP(sport=53, dport=BASE)))
        self.passes_out(UDP(sport=5002, dport=53), BASE)


class WithoutAnIndexAllCellsAreRead(_Registers):
    def runTest(self):
        head = UDP(sport=53, dport=BASE, len=40, chksum=0) / bytes(16)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        ident = 60000
        self.passes_in(head, 5000, id=ident, flags="MF", proto=17)
        cells = self.read_all("fragment_cell")
        assert sorted(cells) == list(range(_info("fragment_cell").size))
        key = int(IPv4Address(SERVER_IP)) << 56 | int(IPv4Address(POOL_IP)) << 24 | 17 << 16 | ident
        (found,) = [value for value in cells.values() if value >> 96 == key]
        assert found >> 32 & (1 << 64) - 1 == 53 << 32 | BASE
