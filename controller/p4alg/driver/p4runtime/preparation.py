"""The set-up of a P4Runtime switch before it is used: digests and meters."""

from __future__ import annotations

import finsy as fy
from finsy.p4schema import P4IdleTimeoutBehavior

from p4alg.driver.gauges import Meter
from p4alg.driver.p4runtime.program import Program
from p4alg.engine import cells
from p4alg.engine.capabilities import Capabilities
from p4alg.engine.declaration import declarations
from p4alg.engine.tables import Entry
from p4alg.nat.numbers import HIGHEST

TCP_EVENT, PINHOLE_HIT = "tcp_event_t", "pinhole_hit_t"
_DIGEST_TIMEOUT_NS = 5_000_000
_DIGEST_LIST = 64
_DIGEST_ACK_NS = 100_000_000
# BMv2 loses error details of writes with more than about a thousand updates. A batch of a
# hundred is as fast as a larger one.
_MAX_BATCH = 100

DIGESTS = (
    # Sent at once, since the flow has no session until the controller knows of it.
    fy.P4DigestEntry(PINHOLE_HIT, max_list_size=1, ack_timeout_ns=_DIGEST_ACK_NS),
    fy.P4DigestEntry(
        TCP_EVENT,
        max_list_size=_DIGEST_LIST,
        max_timeout_ns=_DIGEST_TIMEOUT_NS,
        ack_timeout_ns=_DIGEST_ACK_NS,
    ),
)
"""The digests of the program, and when the switch has to send them."""


def ageing() -> list[type[Entry]]:
    """The tables whose entries age."""
    return [declared.entry for declared in declarations().values() if declared.idle_timeout]


def meter_entry(meter: Meter) -> fy.P4MeterEntry:
    """The P4Runtime form of a meter."""
    rate = meter.rate
    config = fy.P4MeterConfig(
        cir=rate.packets, cburst=rate.burst, pir=rate.packets, pburst=rate.burst
    )
    return fy.P4MeterEntry(meter.array, index=meter.index, config=config)


def promised(info: fy.P4Schema, program: Program) -> Capabilities:
    """What a switch can do according to P4Runtime and the P4Info. It may be able to do less."""
    tables = [program.table(kind.declaration.table) for kind in ageing()]
    registers = {register.alias for register in info.registers}
    has_cells = all(array.name in registers for array in cells.ARRAYS)
    notifies = P4IdleTimeoutBehavior.NOTIFY_CONTROL
    return Capabilities(
        idle_timeouts=all(table.idle_timeout_behavior == notifies for table in tables),
        digests=True,
        punt_meters=True,
        counters=True,
        direct_counters=all(table.direct_counter is not None for table in tables),
        # A program that keeps plain flows in other arrays keeps them in another form.
        registers=has_cells,
        register_writes=has_cells,
        update_outcomes=True,
        max_batch=_MAX_BATCH,
        highest_number=min(HIGHEST, program.highest_number),
    )
