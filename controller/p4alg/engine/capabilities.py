"""What a switch can do, as one value: found out at the start, and asked by engine and driver.

Every switch has tables, packet-ins and packet-outs. What it may lack is a field here. Nothing asks
which switch it is; docs/targets.md has what is done instead of each.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4alg.nat.numbers import HIGHEST


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a switch, and the program on it, can do."""

    idle_timeouts: bool
    """It reports entries that went unused for their idle timeout."""
    digests: bool
    """It sends digests about flows that it forwards by itself: FIN, RST, pinhole hits."""
    punt_meters: bool
    """It meters the packets of each punt class, and drops what is too much."""
    counters: bool
    """It counts punts and drops by reason."""
    direct_counters: bool
    """It counts packets and bytes of each entry of the tables whose entries age."""
    registers: bool
    """The controller can read the registers of plain flows."""
    register_writes: bool
    """The controller can write them."""
    update_outcomes: bool
    """If some updates of a write are refused, it makes the others, and tells which were refused."""
    max_batch: int
    """The most updates of one write; at least 1."""
    highest_number: int = HIGHEST
    """The highest subscriber number of the program, from 1 on."""

    @property
    def polls(self) -> bool:
        """Whether the packet counters of entries are read, to find out which of them are idle."""
        return self.direct_counters and not self.idle_timeouts


def shortcomings(able: Capabilities) -> list[str]:
    """What a switch does not do, and what is done instead: a line for the operator each."""
    missing = []
    if able.polls:
        missing.append(
            "this switch does not report idle entries; instead the controller reads how many "
            "packets each has counted"
        )
    elif not able.idle_timeouts:
        missing.append(
            "this switch neither reports idle entries nor counts their packets; instead sessions "
            "end on FIN or RST only, and those of other protocols, with their bindings, stay"
        )
    if not able.digests:
        missing.append(
            "this switch sends no digests; instead TCP sessions keep their transitory timer, and "
            "a flow through a pinhole ends when the pinhole does"
        )
    if not able.punt_meters:
        missing.append(
            "this switch does not meter punts; instead a flood of new flows reaches the controller "
            "whole"
        )
    if not able.counters:
        missing.append(
            "this switch does not count punts and drops; instead show counters has only those of "
            "the controller"
        )
    if not able.direct_counters:
        missing.append(
            "this switch does not count the packets of entries; instead show subscribers goes "
            "without"
        )
    if not able.registers:
        missing.append(
            "this switch does not let registers be read; instead views show only the flows of ALGs"
        )
    elif not able.register_writes:
        missing.append(
            "this switch does not let registers be written; instead plain flows cannot be cleared"
        )
    if able.highest_number < HIGHEST:
        missing.append(
            f"this program does not know subscribers above {able.highest_number}; instead so many "
            "hosts have a block at a time"
        )
    return missing
