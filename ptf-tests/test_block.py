"""The block table: whose an outside port is, by the prefix of its block."""

from base import (
    CLIENT_IP,
    OUTSIDE,
    POOL_IP,
    TCP,
    UDP,
    Drop,
    FilterMode,
    Punt,
    inward,
)
from plain import BASE, SIZE, PlainTest
from program import Phase

OTHER_IP = "10.0.0.3"


class NeighbouringBlocksBelongToTheirHolders(PlainTest):
    """N6888-13: a block is a range, and its ends are exact."""

    def runTest(self):
        # All ones of the mask: the last group of the block.
        salt = SIZE - 8
        self.unsubscribe()
        self.subscribe(base=BASE, salt=salt)
        self.subscribe(OTHER_IP, base=BASE + SIZE)
        last = BASE + SIZE - 8
        self.passes_out(UDP(sport=5001, dport=53), last + 1)
        self.passes_out(UDP(sport=5000, dport=53), BASE + SIZE, src=OTHER_IP)
        self.passes_in(UDP(sport=53, dport=last + 1), 5001)
        self.passes_in(UDP(sport=53, dport=BASE + SIZE), 5000, to=OTHER_IP)


class OutsideOfAllBlocksThereIsNoMapping(PlainTest):
    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        for port in (BASE - 1, BASE + SIZE, 0, 65535):
            self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(UDP(sport=53, dport=port)))


class APortOfABlockThatNobodyUsesHasNoMapping(PlainTest):
    def runTest(self):
        self.set_gateway(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        # The other ways, the controller's way, the other parity, and another protocol.
        for port in (BASE + 2, BASE + 4, BASE + 6, BASE + 1, BASE + 8):
            self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(UDP(sport=53, dport=port)))
        packet = inward(TCP(sport=53, dport=BASE, flags="S"))
        self.expect_asked(Punt.SYN, packet, port=OUTSIDE)


class CellsOfAnEarlierHolderMatchNothing(PlainTest):
    """A block changes hands: what the cells say of the one before is nobody's at once."""

    def runTest(self):
        self.set_gateway(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)
        self.unsubscribe()
        self.subscribe(OTHER_IP)
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(UDP(sport=53, dport=BASE)))
        # The new holder finds the cells of its ports free.
        self.passes_out(UDP(sport=6000, dport=53), BASE, src=OTHER_IP)
        self.passes_in(UDP(sport=53, dport=BASE), 6000, to=OTHER_IP)


class TheSameHostWithANewNumberBeginsAnew(PlainTest):
    def runTest(self):
        self.passes_out(TCP(sport=5000, dport=80, flags="S"), BASE)
        self.unsubscribe()
        self.subscribe(CLIENT_IP)
        packet = inward(TCP(sport=80, dport=BASE, flags="SA"))
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, packet)
        self.passes_out(TCP(sport=5000, dport=80, flags="S"), BASE)
        self.passes_in(TCP(sport=80, dport=BASE, flags="SA"), 5000)


class AMappingOfTheTablesInABlockWins(PlainTest):
    """The controller's way of each block holds endpoints of ALGs."""

    def runTest(self):
        self.add_mapping(17, 7000, BASE + 6)
        self.add_session(17, 7000, 53)
        self.passes_out(UDP(sport=7000, dport=53), BASE + 6)
        self.passes_in(UDP(sport=53, dport=BASE + 6), 7000)


class AnIdleBlockIsTold(PlainTest):
    def runTest(self):
        entry = self.block_entry
        entry.idle_timeout_ns = 300_000_000
        entry.modify()
        self.expect_idle(entry)


class AForwardOnAPortOfABlockIsOfItsOwnHost(PlainTest):
    """Its sessions are those of the host that it leads to, not of the block's holder."""

    def runTest(self):
        number = self.subscribe(OTHER_IP, base=4096).number
        whose = {"subscriber": number, "managed": 0}
        self.add("map_in", {"proto": 17, "outside_addr": POOL_IP, "outside_id": BASE + 6},
                 "set_inside", inside_addr=OTHER_IP, inside_id=80,
                 filter_mode=FilterMode.ENDPOINT_INDEPENDENT, **whose)  # fmt: skip
        self.add("map_out", {"proto": 17, "inside_addr": OTHER_IP, "inside_id": 80},
                 "set_outside", outside_addr=POOL_IP, outside_id=BASE + 6, **whose)  # fmt: skip
        first = self.add_timer(1000, proto=17, phase=Phase.OUTSIDE_SYN)
        both = self.add_timer(1000, proto=17, phase=Phase.OUTSIDE_SYN | Phase.INSIDE_SYN)
        self.passes_in(UDP(sport=53, dport=BASE + 6), 80, to=OTHER_IP)
        self.passes_out(UDP(sport=80, dport=53), BASE + 6, src=OTHER_IP)
        assert (self.hits(first), self.hits(both)) == (1, 1)
