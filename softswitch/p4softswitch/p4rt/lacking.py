"""Parts of P4Runtime that the switch can be told not to have, to try a controller without them.

Other switches lack them: Stratum on Tofino takes idle timeouts and forgets them, and BMv2 has no
registers. What is lacking is answered with UNIMPLEMENTED; an idle timeout is forgotten, as that is
what a controller notices least.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Any

from p4softswitch.p4rt.codes import UNIMPLEMENTED, RpcError


class Part(StrEnum):
    """A part of P4Runtime that can be lacking."""

    IDLE_TIMEOUTS = "idle-timeouts"
    REGISTERS = "registers"
    DIGESTS = "digests"
    METERS = "meters"
    COUNTERS = "counters"
    DIRECT_COUNTERS = "direct-counters"


_KINDS = {
    "register_entry": Part.REGISTERS,
    "digest_entry": Part.DIGESTS,
    "meter_entry": Part.METERS,
    "counter_entry": Part.COUNTERS,
    "direct_counter_entry": Part.DIRECT_COUNTERS,
}
"""The entities of each part."""


def refusal(entity: Any, lacks: Collection[Part]) -> RpcError | None:
    """Why an entity cannot be read or written without some parts; None if it can."""
    kind = entity.WhichOneof("entity")
    part = _KINDS.get(kind)
    if kind == "table_entry" and entity.table_entry.HasField("counter_data"):
        part = Part.DIRECT_COUNTERS
    if part is None or part not in lacks:
        return None
    return RpcError(UNIMPLEMENTED, f"this switch was started without {part}")


def forget(entity: Any, lacks: Collection[Part]) -> None:
    """Take out of an entity to be written what the switch takes and forgets."""
    if Part.IDLE_TIMEOUTS in lacks and entity.WhichOneof("entity") == "table_entry":
        entity.table_entry.ClearField("idle_timeout_ns")
