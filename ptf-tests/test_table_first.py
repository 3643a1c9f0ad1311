"""Tables win over registers, and an endpoint's slot goes on beneath its entries."""

from base import (
    OUTSIDE,
    TCP,
    UDP,
    Drop,
    FilterMode,
    Punt,
    SessionFlags,
    inward,
    new_number,
    outward,
)
from plain import BASE, PlainTest, until_over
from program import Phase

FTP = 3
RESET = Phase.INSIDE_SYN | Phase.OUTSIDE_SYN | Phase.ESTABLISHED | Phase.RESET


class _Beneath(PlainTest):
    def serve_ftp(self):
        self.add("alg_service", {"proto": "6&&&0xff", "server_id": "21&&&0xffffffff"},
                 "bind_alg", priority=1, alg_id=FTP)  # fmt: skip

    def map_by_table(self, outside_id=BASE, dport=21):
        """What the controller writes when it follows a flow of port 5000."""
        self.add_mapping(6, 5000, outside_id)
        return self.add_session(6, 5000, dport)

    def close_after(self, ticks):
        """Let connections live long, and so many ticks when the client resets them."""
        self.add_timer(1000, proto=6)
        self.add_timer(ticks, proto=6, phase=RESET, priority=2)

    def open_tcp(self, sport, outside_id, dport=80):
        self.passes_out(TCP(sport=sport, dport=dport, flags="S"), outside_id)
        self.passes_in(TCP(sport=dport, dport=outside_id, flags="SA"), sport)
        self.passes_out(TCP(sport=sport, dport=dport, flags="A", ack=1), outside_id)


class ThePacketInNamesThePortThatTheEndpointHas(_Beneath):
    def runTest(self):
        self.serve_ftp()
        packet = outward(TCP(sport=5000, dport=21, flags="S"))
        self.expect_asked(Punt.NEW_FLOW, packet, alg_id=FTP, mapped_id=0)
        self.passes_out(TCP(sport=5000, dport=80, flags="S"), BASE)
        self.expect_asked(Punt.NEW_FLOW, packet, alg_id=FTP, mapped_id=BASE)
        # Another endpoint has none.
        packet = outward(TCP(sport=5002, dport=21, flags="S"))
        self.expect_asked(Punt.NEW_FLOW, packet, alg_id=FTP, mapped_id=0)


class AMappingThatIsOverIsNotNamed(_Beneath):
    def runTest(self):
        self.serve_ftp()
        self.close_after(0)
        self.open_tcp(5000, BASE)
        self.passes_out(TCP(sport=5000, dport=80, flags="R"), BASE)
        until_over(0)
        packet = outward(TCP(sport=5000, dport=21, flags="S"))
        self.expect_asked(Punt.NEW_FLOW, packet, alg_id=FTP, mapped_id=0)


class AMappingIsLentUntilTheControllerAnswers(_Beneath):
    """It must not end between the packet-in and the entries: the ways stay taken."""

    def runTest(self):
        ticks = 8
        self.serve_ftp()
        self.close_after(ticks)
        for way, sport in enumerate((5000, 5002, 5004)):
            self.open_tcp(sport, BASE + 2 * way)
        self.passes_out(TCP(sport=5002, dport=80, flags="R"), BASE + 2)
        packet = outward(TCP(sport=5002, dport=21, flags="S"))
        self.expect_asked(Punt.NEW_FLOW, packet, alg_id=FTP, mapped_id=BASE + 2)
        until_over(ticks)
        self.expect_overflow(TCP(sport=5006, dport=80, flags="S"))


class ATableMappingWinsOverTheSlot(_Beneath):
    def runTest(self):
        self.open_tcp(5000, BASE)
        self.map_by_table(outside_id=40000)
        self.passes_out(TCP(sport=5000, dport=21, flags="PA"), 40000)
        self.passes_in(TCP(sport=21, dport=40000, flags="A"), 5000)


class PlainFlowsOfAnEndpointGoOnWhenTheControllerKeepsItsPort(_Beneath):
    def runTest(self):
        self.open_tcp(5000, BASE)
        self.map_by_table()
        for _ in range(2):
            self.passes_out(TCP(sport=5000, dport=21, flags="A"), BASE)
            self.passes_in(TCP(sport=21, dport=BASE, flags="A"), 5000)
            self.passes_out(TCP(sport=5000, dport=80, flags="A"), BASE)
            self.passes_in(TCP(sport=80, dport=BASE, flags="A"), 5000)
        # A further one is the controller's to set up.
        self.expect_overflow(TCP(sport=5000, dport=81, flags="S"), mapped_id=BASE)


class ASessionOfTheTableKeepsTheSlotAlive(_Beneath):
    """Its packets set the time of the slot by the phase TABLE; nothing cuts the slot short."""

    def runTest(self):
        table = self.add_timer(1000, proto=6, phase=Phase.TABLE, priority=9)
        self.close_after(0)
        for way, sport in enumerate((5000, 5002, 5004)):
            self.open_tcp(sport, BASE + 2 * way)
        self.map_by_table()
        self.passes_out(TCP(sport=5000, dport=21, flags="A"), BASE)
        self.passes_in(TCP(sport=21, dport=BASE, flags="A"), 5000)
        assert self.hits(table) == 2
        self.passes_out(TCP(sport=5000, dport=80, flags="R"), BASE)
        until_over(0)
        # Its only plain connection has ended, and yet no other endpoint gets the port.
        self.expect_overflow(TCP(sport=5006, dport=80, flags="S"))


class WhenTheEntriesAreGoneTheSlotIsThereAsBefore(_Beneath):
    def runTest(self):
        self.open_tcp(5000, BASE)
        entries = len(self._entries)
        self.map_by_table()
        self.passes_out(TCP(sport=5000, dport=21, flags="A"), BASE)
        for entry in self._entries[entries:]:
            self.remove(entry)
        self.passes_out(TCP(sport=5000, dport=80, flags="A"), BASE)
        self.passes_out(TCP(sport=5000, dport=443, flags="S"), BASE)
        packet = inward(TCP(sport=21, dport=BASE, flags="A"))
        self.expect_drop(Drop.NO_SESSION, OUTSIDE, packet)


class ASessionOfTheTableWinsOverOneOfTheRegisters(_Beneath):
    """An ALG that is switched on for a flow that is under way reads it from then on."""

    def runTest(self):
        self.open_tcp(5000, BASE, dport=21)
        self.add_mapping(6, 5000, BASE)
        self.add_session(6, 5000, 21, alg_id=FTP, flags=SessionFlags.NONE)
        packet = outward(TCP(sport=5000, dport=21, flags="PA") / b"PASV\r\n")
        self.expect_asked(Punt.ALG, packet, alg_id=FTP, mapped_id=BASE)


class APinholeOnAPortOfASlotIsFirst(_Beneath):
    """What an ALG opened on an endpoint passes and is reported, whatever the filter."""

    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        match = {"proto": "17&&&0xff", "inside_id": "5000&&&0xffffffff"}
        number = new_number()
        pinhole = self.add("pinhole", match, "permit", priority=1, pinhole_id=number)
        self.passes_in(UDP(sport=54, dport=BASE), 5000, src="198.51.100.66")
        self.expect_digest(17, "10.0.0.2", 5000, "198.51.100.66", 54, number, 0)
        assert self.hits(pinhole) == 1


class AnOpenMappingAndASlotOfAnotherPortAreApart(_Beneath):
    """The table gives port 5000 to another endpoint: the slot's own port is not reached by it."""

    def runTest(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.add_mapping(17, 7000, BASE, filter_mode=FilterMode.ENDPOINT_INDEPENDENT, managed=0)
        self.passes_in(UDP(sport=53, dport=BASE), 7000)
