"""scramble_low and scramble_high: ports of a block that nobody outside can guess (RFC 6056)."""

from base import UDP, GatewayTest
from plain import PlainTest

LOW, HIGH = 0x5A18, 0xC3E8
PORT = 0x1388
"""5000: low byte 0x88, high byte 0x13."""


class _Scramble(PlainTest):
    def setUp(self):
        super().setUp()
        self.unsubscribe()

    def draw(self, low=None, high=None):
        if low is not None:
            self.add("scramble_low", {"byte": PORT & 0xFF}, "scramble", value=low)
        if high is not None:
            self.add("scramble_high", {"byte": PORT >> 8}, "scramble", value=high)


class N6888_15_BothBytesAndTheSaltChooseThePort(_Scramble):
    def runTest(self):
        salt = 0x0130
        block = self.subscribe(base=16384, size=16384, salt=salt)
        self.draw(LOW, HIGH)
        port = block.port(PORT, scramble=LOW ^ HIGH)
        assert port == 16384 | ((LOW ^ HIGH ^ salt) & 0x3FF8)
        self.passes_out(UDP(sport=PORT, dport=53), port)
        self.passes_in(UDP(sport=53, dport=port), PORT)


class OnlyTheTableOfItsByteCounts(_Scramble):
    def runTest(self):
        block = self.subscribe()
        self.add("scramble_low", {"byte": PORT >> 8}, "scramble", value=8)
        self.add("scramble_high", {"byte": PORT & 0xFF}, "scramble", value=16)
        self.passes_out(UDP(sport=PORT, dport=53), block.port(PORT, scramble=0))


class EachTableAlone(_Scramble):
    def runTest(self):
        block = self.subscribe()
        self.draw(low=8)
        self.passes_out(UDP(sport=PORT, dport=53), block.port(PORT, scramble=8))
        self.draw(high=16)
        # The same byte above, another below.
        self.passes_out(UDP(sport=PORT + 2, dport=53), block.port(PORT, scramble=16))


class N4787_4_ParityIsKeptAndTheBlockNeverLeft(_Scramble):
    """Whatever is drawn: bits of the number outside of the block and below the group are cut."""

    def runTest(self):
        self.draw(0xFFFF, 0)
        block = self.subscribe(base=2048, size=64)
        assert block.port(PORT, scramble=0xFFFF) == 2048 + 56
        self.passes_out(UDP(sport=PORT, dport=53), 2048 + 56)
        odd = PORT + 1
        self.add("scramble_low", {"byte": odd & 0xFF}, "scramble", value=0xFFFF)
        self.passes_out(UDP(sport=odd, dport=53), 2048 + 57)


class TheLargestBlockWorksToo(_Scramble):
    def runTest(self):
        block = self.subscribe(base=49152, size=16384)
        self.draw(0xFFFF, 0)
        port = block.port(PORT, way=0, scramble=0xFFFF)
        assert port == 0xFFF8
        self.passes_out(UDP(sport=PORT, dport=53), port)
        self.passes_in(UDP(sport=53, dport=port), PORT)


class EveryByteCanHaveANumber(GatewayTest):
    def runTest(self):
        for table in ("scramble_low", "scramble_high"):
            for byte in range(256):
                self.add(table, {"byte": byte}, "scramble", value=byte << 3)
