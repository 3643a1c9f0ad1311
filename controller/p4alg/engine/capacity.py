"""How full the gateway is, for `p4alg show nat` and `p4alg show limits`: plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields

from p4alg.alg.contract import format_addr
from p4alg.engine.control.table import ControlSessions
from p4alg.engine.flow_table import Flows
from p4alg.engine.pinholes import Pinholes
from p4alg.engine.settings import Limits, Settings

Rows = list[dict[str, object]]


def pools(settings: Settings, flows: Flows) -> Rows:
    """A row for each pool: its addresses, blocks of ports and hosts."""
    blocks = flows.mappings.subscribers.blocks
    taken, layout = blocks.taken(), blocks.layout
    own = Counter(found.own.outside_addr for found in blocks if found.own is not None)
    rows: Rows = []
    for pool in settings.pools:
        addresses = 1 << (32 - pool.length)
        total = addresses * layout.per_address
        used = sum(count for addr, count in taken.items() if addr in pool)
        rows.append(
            {
                "pool": str(pool),
                "addresses": addresses,
                "hosts": sum(count for addr, count in own.items() if addr in pool),
                "block_size": layout.size,
                "blocks": total,
                "free": total - used,
                "percent_free": round(100 * (total - used) / total, 1),
            }
        )
    return rows


def limits(
    limits: Limits,
    flows: Flows,
    pinholes: Pinholes,
    sessions: ControlSessions,
    hosts: Iterable[int],
) -> Rows:
    """A row for each limit: its value, how much of it is used, and of a host's the host.

    `used` is None for what nobody counts: rates of the switch, and bounds of one message.
    """
    bindings = flows.mappings.bindings
    known = set(hosts)
    of_all: dict[str, int] = {
        "bindings": len(bindings),
        "sessions": len(flows),
        "subscribers": len(flows.mappings.subscribers.blocks),
        "pinholes": len(pinholes),
        "controls": len(sessions),
        "control_bytes": sum(session.stream.bytes_held for session in sessions.all()),
    }
    of_host = {
        "bindings_per_subscriber": bindings.count_of,
        "sessions_per_subscriber": flows.count_of,
        "pinholes_per_subscriber": pinholes.count_of,
        "controls_per_subscriber": sessions.count_of,
    }
    rows: Rows = []
    for field in fields(Limits):
        name, used, host = field.name, of_all.get(field.name), ""
        if name in of_host and known:
            most = max(known, key=of_host[name])
            used, host = of_host[name](most), format_addr(most)
        rows.append(
            {
                "limit": name,
                "value": getattr(limits, name),
                "used": used if name not in of_host or known else 0,
                "host": host if used else "",
            }
        )
    return rows
