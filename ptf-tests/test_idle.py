"""Idle timeouts of every table that has them; traffic keeps an entry alive."""

import time

from base import CLIENT_IP, INSIDE, OUTSIDE, UDP, GatewayTest, outward
from base import outward_translated as out

TIMEOUT_NS = 600_000_000


class _Idle(GatewayTest):
    def age(self, entry):
        """Give an entry a timeout, as the controller does when it installs it."""
        entry.idle_timeout_ns = TIMEOUT_NS
        entry.modify()


class AnIdleSessionIsTold(_Idle):
    def runTest(self):
        session = self.add_session(17, 5000, 53)
        self.age(session)
        self.expect_idle(session)


class AnIdlePinholeIsTold(_Idle):
    def runTest(self):
        match = {"proto": "6&&&0xff", "inside_addr": f"{CLIENT_IP}&&&255.255.255.255"}
        pinhole = self.add("pinhole", match, "permit", priority=5, pinhole_id=7)
        self.age(pinhole)
        self.expect_idle(pinhole)


class TrafficKeepsASessionAlive(_Idle):
    def runTest(self):
        self.add_mapping(17, 5000, 40000)
        used = self.add_session(17, 5000, 53)
        unused = self.add_session(17, 5000, 54)
        self.age(used)
        self.age(unused)
        # Twice its timeout, with a packet in every sixth of it.
        for _ in range(12):
            self.send(INSIDE, outward(UDP(sport=5000, dport=53)))
            self.expect(OUTSIDE, out(UDP(sport=40000, dport=53)))
            time.sleep(TIMEOUT_NS / 6e9)
        self.expect_idle(unused)
        # The used one ends too, once nothing uses it.
        self.expect_idle(used)
        assert self.hits(used) == 12
