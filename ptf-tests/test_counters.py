"""Direct counters: every table counts what its entries did."""

import p4runtime_sh.shell as sh

from base import INSIDE, OUTSIDE, TCP, GatewayTest, SessionFlags, inward, outward


class EveryEntryOnThePathCounts(GatewayTest):
    def runTest(self):
        self.add("policy", {"proto": "6&&&0xff"}, "translate", priority=1)
        self.add_mapping(6, 5000, 40000)
        self.add_session(6, 5000, 80, flags=SessionFlags.CORRECT_SEQUENCE)
        self.add("sequence", self.flow(6, 5000, 80), "correct", out_position=0, out_before=0,
                 out_after=0, in_position=0, in_before=0, in_after=0)  # fmt: skip
        for _ in range(3):
            self.send(INSIDE, outward(TCP(sport=5000, dport=80, flags="A")))
        for _ in range(2):
            self.send(OUTSIDE, inward(TCP(sport=80, dport=40000, flags="A")))
        self.wait_until_counted(self._entries[-2], 5)
        seen = {}
        for entry in self._entries:
            table = entry.name.rsplit(".", 1)[-1]
            seen[table] = seen.get(table, 0) + self.hits(entry)
        both_ways = ("port_zone", "source", "policy", "session", "sequence", "route", "next_hop")
        assert seen == {**dict.fromkeys(both_ways, 5), "map_out": 3, "map_in": 2}, seen

    def wait_until_counted(self, entry, packets):
        """Read until the switch has seen the packets, a hundred times at most."""
        for _ in range(100):
            if self.hits(entry) == packets:
                return
        self.fail(f"{entry.name} counted {self.hits(entry)}, expected {packets}")


class EveryTableHasADirectCounter(GatewayTest):
    def runTest(self):
        tables = {table.preamble.alias for table in sh.P4Objects(sh.P4Type.table)}
        counters = {counter.preamble.alias for counter in sh.P4Objects(sh.P4Type.direct_counter)}
        assert counters == {f"{table}_counter" for table in tables}
