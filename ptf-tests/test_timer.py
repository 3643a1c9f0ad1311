"""The timer table: how long a flow lives, by its protocol, phase, server and direction."""

import time

from base import ICMP, TCP, UDP, FilterMode
from plain import BASE, TICK, PlainTest, until_over
from program import Phase

LONG = 1000


class N4787_5_EachProtocolHasItsOwnTime(PlainTest):
    """And N5508-2: queries have theirs."""

    def runTest(self):
        times = {6: 1, 17: LONG, 1: 1}
        rows = {proto: self.add_timer(ticks, proto=proto) for proto, ticks in times.items()}
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_out(TCP(sport=5000, dport=80, flags="S"), BASE)
        self.passes_out(ICMP(type=8, id=5000), BASE)
        assert [self.hits(row) for row in rows.values()] == [1, 1, 1]
        until_over(1)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)
        self.expect_over(TCP(sport=80, dport=BASE, flags="SA"))
        self.expect_over(ICMP(type=0, id=BASE))


class N4787_5_AServersPortMayHaveAShorterTime(PlainTest):
    def runTest(self):
        self.add_timer(LONG, proto=17)
        self.add_timer(1, proto=17, server_id=53, priority=2)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_out(UDP(sport=5000, dport=54), BASE)
        until_over(1)
        self.expect_over(UDP(sport=53, dport=BASE))
        self.passes_in(UDP(sport=54, dport=BASE), 5000)


class AServerInsideIsKnownByItsInsidePort(PlainTest):
    def runTest(self):
        self.add_timer(LONG, proto=17)
        row = self.add_timer(LONG, proto=17, server_id=53, priority=2)
        self.add_mapping(17, 53, 4053, filter_mode=FilterMode.ENDPOINT_INDEPENDENT, managed=0)
        self.passes_in(UDP(sport=6000, dport=4053), 53)
        self.passes_out(UDP(sport=53, dport=6000), 4053)
        assert self.hits(row) == 2


class N4787_6_OutboundAndInboundPacketsRefresh(PlainTest):
    def runTest(self):
        ticks = 8
        self.add_timer(ticks, proto=17)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        for refresh in (self.from_client, self.from_server):
            time.sleep(0.6 * ticks * TICK)
            refresh()
        time.sleep(0.6 * ticks * TICK)
        self.from_server()
        until_over(ticks)
        self.expect_over(UDP(sport=53, dport=BASE))

    def from_client(self):
        self.passes_out(UDP(sport=5000, dport=53), BASE)

    def from_server(self):
        self.passes_in(UDP(sport=53, dport=BASE), 5000)


class ThePhaseTellsWhoHasSpoken(PlainTest):
    """UDP and ICMP: the inside, the outside, both."""

    def runTest(self):
        self.set_gateway(filter_mode=FilterMode.ENDPOINT_INDEPENDENT)
        inside, outside = Phase.INSIDE_SYN, Phase.OUTSIDE_SYN
        phases = (inside, outside, inside | outside)
        rows = [self.add_timer(LONG, proto=17, phase=int(phase)) for phase in phases]
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        assert [self.hits(row) for row in rows] == [1, 0, 2]
        self.passes_in(UDP(sport=54, dport=BASE), 5000)
        assert [self.hits(row) for row in rows] == [1, 1, 2]


class TheDirectionCounts(PlainTest):
    """What is set for outbound packets only, inbound ones do not prolong."""

    def runTest(self):
        ticks = 6
        self.add_timer(ticks, proto=17, outbound=1)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        time.sleep(0.5 * ticks * TICK)
        self.passes_in(UDP(sport=53, dport=BASE), 5000)
        time.sleep(0.6 * ticks * TICK + TICK)
        self.expect_over(UDP(sport=53, dport=BASE))


class ACutOnlyShortens(PlainTest):
    def runTest(self):
        self.add_timer(4, proto=17, server_id=53)
        self.add_timer(LONG, proto=17, server_id=54)
        longer = self.add_timer(LONG, proto=17, outbound=0, server_id=53, priority=2, cut=True)
        shorter = self.add_timer(1, proto=17, outbound=0, server_id=54, priority=2, cut=True)
        for port in (53, 54):
            self.passes_out(UDP(sport=5000, dport=port), BASE)
            self.passes_in(UDP(sport=port, dport=BASE), 5000)
        assert (self.hits(longer), self.hits(shorter)) == (1, 1)
        until_over(4)
        self.expect_over(UDP(sport=53, dport=BASE))
        self.expect_over(UDP(sport=54, dport=BASE))


class WithoutAnEntryTheTimeStaysAsItIs(PlainTest):
    def runTest(self):
        first = self.add_timer(3, proto=17)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        self.remove(first)
        time.sleep(2 * TICK)
        self.passes_out(UDP(sport=5000, dport=53), BASE)
        time.sleep(2.1 * TICK)
        self.expect_over(UDP(sport=53, dport=BASE))
