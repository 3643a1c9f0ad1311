"""What a P4Runtime switch is told before it is used: how to digest and how much to punt."""

from __future__ import annotations

import finsy as fy
from finsy.p4schema import P4IdleTimeoutBehavior

from p4alg.driver.gauges import METERS
from p4alg.driver.target import Capabilities
from p4alg.engine.declaration import declarations

TCP_EVENT, PINHOLE_HIT = "tcp_event_t", "pinhole_hit_t"
_DIGEST_TIMEOUT_NS = 5_000_000
_DIGEST_LIST = 64
_DIGEST_ACK_NS = 100_000_000
# Beyond about a thousand updates BMv2 loses error details; near a hundred
# batches are as fast as larger ones.
_MAX_BATCH = 100

DIGESTS = (
    # At once: a flow through a pinhole has no session until we know.
    fy.P4DigestEntry(PINHOLE_HIT, max_list_size=1, ack_timeout_ns=_DIGEST_ACK_NS),
    fy.P4DigestEntry(
        TCP_EVENT,
        max_list_size=_DIGEST_LIST,
        max_timeout_ns=_DIGEST_TIMEOUT_NS,
        ack_timeout_ns=_DIGEST_ACK_NS,
    ),
)
"""The program's digests, and when the switch shall deliver them."""

PUNT_METERS = tuple(
    fy.P4MeterEntry(
        "punt_meter",
        index=int(punt),
        config=fy.P4MeterConfig(
            cir=rate.packets, cburst=rate.burst, pir=rate.packets, pburst=rate.burst
        ),
    )
    for punt, rate in METERS.items()
)
"""What each punt class may bring the controller."""


def promised(info: fy.P4Schema) -> Capabilities:
    """What P4Runtime and the P4Info of the program promise; a switch may have less."""
    ageing = [declared.table for declared in declarations().values() if declared.idle_timeout]
    notifies = P4IdleTimeoutBehavior.NOTIFY_CONTROL
    return Capabilities(
        idle_timeouts=all(info.tables[name].idle_timeout_behavior == notifies for name in ageing),
        digests=True,
        punt_meters=True,
        counters=True,
        direct_counters=all(table.direct_counter is not None for table in info.tables),
        # The P4Runtime server of BMv2 gives no access to any.
        registers=False,
        update_outcomes=True,
        max_batch=_MAX_BATCH,
    )
