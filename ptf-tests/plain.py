"""What tests of plain flows share: a client with a block of outside ports, and time in ticks.

Cells outlive tests, tables do not. So each subscriber gets a number that no test had before,
and finds all cells of its block free.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import p4runtime_sh.shell as sh

from base import (
    CLIENT_IP,
    ICMP,
    INSIDE,
    OUTSIDE,
    POOL_IP,
    TCP,
    Drop,
    FilterMode,
    GatewayTest,
    Punt,
    inward,
    inward_translated,
    new_number,
    outward,
    outward_translated,
)
from program import TICK_SHIFT

TICK = 2**TICK_SHIFT / 1e6
"""Seconds."""
BASE, SIZE = 2048, 64
"""The client's block."""
WAYS = 3
"""Neighbouring outside ports of one parity that an endpoint may get."""


@dataclass(frozen=True)
class Block:
    """A subscriber's block of outside ports."""

    number: int
    base: int = BASE
    size: int = SIZE
    salt: int = 0

    def port(self, inside_id, way=0, scramble=0):
        """The outside port of an inside port, if it is the one of this way."""
        group = (scramble ^ self.salt) & (self.size - 1) & 0xFFF8
        return self.base | group | way << 1 | inside_id & 1


class PlainTest(GatewayTest):
    """A gateway with a client whose plain flows the switch sets up itself.

    No port is scrambled and no time is set unless a test does it: endpoints of one parity
    get the ports of the first group of the block in turn, and what is claimed is held for
    `GRACE_TICKS`, which is longer than a test.
    """

    def setUp(self):
        super().setUp()
        self.add("pool", {"addr": f"{POOL_IP}/32"}, "in_pool")
        self.set_gateway()
        self.addCleanup(self.set_gateway)
        self.block = self.subscribe(number=self.number)

    def set_gateway(self, rest=0, filter_mode=FilterMode.ADDRESS_AND_PORT):
        """How long freed ports rest (ticks), and the filter of the switch's mappings."""
        entry = sh.TableEntry("gateway")(action="set_gateway", is_default=True)
        entry.action["rest"] = str(rest)
        entry.action["filter_mode"] = str(int(filter_mode))
        entry.modify()

    def subscribe(self, inside_addr=CLIENT_IP, organisation=0, **block):
        """Give a host a block, as the controller does when it asks; returns the block."""
        block = Block(**{"number": new_number(), **block})
        self.subscriber_entry = self.add(
            "subscriber", {"inside_addr": inside_addr, "organisation": organisation},
            "own_block", subscriber=block.number, outside_addr=POOL_IP, port_base=block.base,
            port_mask=block.size - 1, salt=block.salt)  # fmt: skip
        match = {"outside_addr": POOL_IP,
                 "outside_id": f"{block.base}/{33 - block.size.bit_length()}"}  # fmt: skip
        self.block_entry = self.add("block", match, "held_by", subscriber=block.number,
                                    inside_addr=inside_addr,
                                    organisation=organisation)  # fmt: skip
        return block

    def unsubscribe(self):
        """Take the block back that was given last."""
        self.remove(self.block_entry)
        self.remove(self.subscriber_entry)

    def add_timer(self, ticks, priority=1, cut=False, **match):
        """Let sessions live so many ticks: `proto`, `phase`, `server_id`, `outbound` exactly."""
        masks = {"proto": 0xFF, "phase": 0xFF, "server_id": 0xFFFFFFFF, "outbound": 1}
        match = {name: f"{int(value)}&&&{masks[name]}" for name, value in match.items()}
        action = "cut_ttl" if cut else "set_ttl"
        return self.add("timer", match, action, priority=priority, ticks=ticks)

    def passes_out(self, l4, outside_id, **ip):
        """Send a packet of the client (or of `src`); it must leave from this outside port."""
        self.send(INSIDE, outward(l4, **ip))
        translated = {name: value for name, value in ip.items() if name != "src"}
        self.expect(OUTSIDE, outward_translated(_with_id(l4, "sport", outside_id), **translated))

    def passes_in(self, l4, inside_id, to=CLIENT_IP, **ip):
        """Send a packet of the server (or of `src`); it must reach this inside port of `to`."""
        self.send(OUTSIDE, inward(l4, **ip))
        self.expect(INSIDE, inward_translated(_with_id(l4, "dport", inside_id), **ip, dst=to))

    def expect_over(self, l4):
        """Send a packet of the server whose session must have ended: it is as if it never was."""
        reason = Drop.NO_SESSION if isinstance(l4, TCP) else Drop.FILTERED
        self.expect_drop(reason, OUTSIDE, inward(l4))

    def expect_overflow(self, l4, mapped_id=0, **ip):
        """Send a packet of the client that the registers cannot hold a flow for."""
        self.expect_asked(Punt.OVERFLOW, outward(l4, **ip), mapped_id=mapped_id)

    def expect_asked(self, reason, packet, port=INSIDE, **header):
        """Send a packet; the controller must get it, as it came, for this reason."""
        self.send(port, packet)
        self.expect_punt(reason, packet, port=port, **header)


def until_over(ticks):
    """Sleep until what was given so many ticks just now has certainly ended."""
    time.sleep((ticks + 1.1) * TICK)


def _with_id(l4, port, identifier):
    """The transport part with another port, or another identifier of an ICMP query."""
    changed = l4.copy()
    changed.setfieldval("id" if isinstance(changed, ICMP) else port, identifier)
    return changed
