"""What happened to a packet that was followed through the program, for people and as objects.

The steps come from the embedded switch, which knows tables and registers. What they mean for a NAT
is added here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from textwrap import wrap

from p4alg.alg.contract import format_addr
from p4alg.driver.gauges import DROPS, PUNTS
from p4alg.engine import cells
from p4alg.p4constants import CPU_PORT
from p4alg.packet import ipv4, tcp, transport
from p4alg.packet.errors import PacketError
from p4alg.protocols import ICMP, TCP, proto_name
from p4softswitch.state.entry import Exact, Masked, Match, Prefix, Range
from p4softswitch.tracing import (
    Assigned,
    Branch,
    Cell,
    Field,
    Lookup,
    Parsed,
    Sample,
    Sent,
    Stage,
    Step,
)

_METADATA = re.compile(r"metadata_t\._(\w+?)\d+$")
_REASONS = {"refuse": DROPS, "to_controller": PUNTS}
"""The actions whose parameter is a reason, and the words for it."""
_FLAGS = {"fin": tcp.FIN, "syn": tcp.SYN, "rst": tcp.RST, "psh": tcp.PSH, "ack": tcp.ACK,
          "urg": tcp.URG}  # fmt: skip
FLAGS = tuple(_FLAGS)
"""The names of TCP flags."""
_NAMES, _INDENT = 26, 33


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a packet in the end.

    `result` is forwarded, dropped or controller; `reason` is that of a drop or of a packet-in, else
    empty.
    """

    result: str
    reason: str
    sent: tuple[Sent, ...]

    def __str__(self) -> str:
        match self.result:
            case "forwarded":
                ports = ", ".join(str(sent.port) for sent in self.sent)
                return f"forwarded by port {ports}"
            case "controller":
                return f"to the controller, which decides: {self.reason or 'no reason'}"
        return f"dropped: {self.reason or 'nothing sends it'}"


def flags_value(names: Iterable[str]) -> int:
    """The bits of TCP flags by their names; KeyError for an unknown one."""
    return sum(_FLAGS[name] for name in set(names))


def outcome(steps: Sequence[Step]) -> Outcome:
    """What became of a packet with these steps."""
    sent = tuple(step for step in steps if isinstance(step, Sent))
    drop = punt = 0
    for step in steps:
        if isinstance(step, Assigned):
            name = _metadata(step.field)
            drop = step.value if name == "drop" else drop
            punt = step.value if name == "punt" else punt
    if any(s.port != CPU_PORT for s in sent):
        return Outcome("forwarded", "", sent)
    if sent:
        return Outcome("controller", PUNTS.get(punt, ""), sent)
    return Outcome("dropped", DROPS.get(drop, ""), sent)


def router_mac(steps: Iterable[Step]) -> int | None:
    """The gateway's MAC address where the packet came in; None if port and VLAN have no zone."""
    for step in steps:
        if isinstance(step, Lookup) and step.hit and step.table.endswith("port_zone"):
            return next((arg.value for arg in step.args if arg.format == "MAC_ADDRESS"), None)
    return None


def described(frame: bytes) -> str:
    """A frame in one line."""
    size = f"{len(frame)} bytes"
    try:
        packet = ipv4.parse_ipv4(frame)
    except PacketError:
        return size
    ends = [format_addr(packet.src), format_addr(packet.dst)]
    more = [f"ttl {packet.ttl}"]
    ids = None if packet.offset else transport.transport_ids(packet)
    if packet.proto == ICMP and ids is not None:
        more.insert(0, f"id {ids[0]}")
    elif ids is not None:
        ends = [f"{end}:{number}" for end, number in zip(ends, ids, strict=True)]
    if packet.proto == TCP and ids is not None:
        try:
            flags = tcp.parse_tcp(packet).flags
            more.insert(0, ",".join(name for name, bit in _FLAGS.items() if flags & bit) or "none")
        except PacketError:
            pass
    if packet.eth.vlan_id:
        more.append(f"vlan {packet.eth.vlan_id}")
    what = proto_name(packet.proto)
    return f"{what} {ends[0]} -> {ends[1]}, {', '.join([*more, size])}"


def rows(steps: Iterable[Step]) -> list[dict[str, object]]:
    """The steps as objects for scripts; `step` says what each is."""
    found: list[dict[str, object]] = []
    for step in steps:
        row: dict[str, object] = {"step": type(step).__name__.lower()}
        if isinstance(step, Lookup):
            row |= {
                "table": step.table,
                "hit": step.hit,
                "key": {field.name: _value(field) for field in step.key},
                "entry": _entry(step),
                "action": step.action,
                "args": {arg.name: _value(arg) for arg in step.args},
            }
        elif isinstance(step, Sent):
            row |= {"port": step.port, "frame": step.frame.hex(), "text": described(step.frame)}
        else:
            row |= asdict(step)
        found.append(row)
    return found


def lines(steps: Iterable[Step], ticks: int, columns: int, verbose: bool) -> Iterator[str]:
    """The steps as text of at most `columns` columns where that is possible.

    `ticks` is the time in the switch. With `verbose` each condition and each value is told too.
    """
    for step in steps:
        told = _told(step, ticks, verbose)
        if told is not None:
            what, kind, text = told
            head = f"{what:<{_NAMES}} {kind:<5} "
            room = max(columns - _INDENT, 30)
            first, *rest = wrap(text, room, break_on_hyphens=False) or [""]
            yield (head + first).rstrip()
            yield from (" " * _INDENT + line for line in rest)


def _told(step: Step, ticks: int, verbose: bool) -> tuple[str, str, str] | None:
    """What a step is about, what kind of a thing that is, and what happened; None to leave out."""
    match step:
        case Stage(name, value):
            if name in ("ingress", "egress"):
                return name, "", f"port {value}"
            return name, "", ""
        case Parsed(states, error):
            passed = " ".join(s.removeprefix("parse_") for s in states if s != "start")
            return "parser", "", f"{passed}: {error}" if error else passed
        case Lookup():
            return _look_up(step, verbose)
        case Cell():
            return _cell(step, ticks, verbose)
        case Sample(digest, values):
            return "digest", "", f"{digest} {' '.join(map(str, values))}" if verbose else digest
        case Sent(port, frame):
            return "sent", "", f"{_port(port)}: {described(frame)}"
        case Branch(where, taken):
            return ("if", "yes" if taken else "no", where) if verbose else None
        case Assigned(field, value, where):
            return _assigned(field, value, where, verbose)


def _assigned(field: str, value: int, where: str, verbose: bool) -> tuple[str, str, str] | None:
    name = _metadata(field)
    for reason, words in (("drop", DROPS), ("punt", PUNTS)):
        if name == reason and value:
            return reason, "", words.get(value, str(value))
    return (name or field, "=", f"{value:#x}  {where}") if verbose else None


def _look_up(step: Lookup, verbose: bool) -> tuple[str, str, str] | None:
    if not step.key and not verbose:
        return None
    name = _short(step.table)
    entry = _entry(step)
    if step.hit:
        asked = " ".join(f"{key}={value}" for key, value in entry.items()) or "anything"
    else:
        asked = " ".join(f"{field.name}={_value(field)}" for field in step.key)
    action = step.action.rpartition(".")[2]
    words = _REASONS.get(action)
    args = " ".join(
        words.get(arg.value, str(arg.value)) if words else f"{arg.name}={_value(arg)}"
        for arg in step.args
    )
    return name, "hit" if step.hit else "miss", f"{asked} : {action} {args}".rstrip()


def _cell(step: Cell, ticks: int, verbose: bool) -> tuple[str, str, str] | None:
    # Cells that were never used are most of what is read.
    if not step.value and not step.written and not verbose:
        return None
    did = "write" if step.written else "read"
    return f"{step.register}[{step.index}]", did, _meaning(step, ticks)


def _meaning(step: Cell, ticks: int) -> str:
    """What the value of a cell says."""
    match step.register.rpartition(".")[2]:
        case "slot_cell":
            slot = cells.decode_slot(step.index, step.value)
            if slot is not None:
                name = slot.kind.name.lower()
                ports = f"outside port {slot.outside_id} for inside port {slot.inside_id}"
                return f"{name}, subscriber {slot.subscriber}, {ports}"
        case "slot_state":
            state = cells.decode_slot_state(step.value)
            return f"{state.open} connections, {_left(state.end, ticks)}"
        case "session_cell":
            session = cells.decode_session(step.value)
            if session is not None:
                remote = f"{format_addr(session.remote_addr)}:{session.remote_id}"
                who = f"subscriber {session.subscriber}, inside port {session.inside_id}"
                return f"{session.kind.name.lower()}, {who}, remote {remote}"
        case "session_state":
            timed = cells.decode_session_state(step.value)
            phases = ",".join(p.name.lower().replace("_", "-") for p in timed.phase if p.name)
            return f"{phases or 'nothing seen'}, {_left(timed.end, ticks)}"
    return f"{step.value:#x}"


def _left(end: int, ticks: int) -> str:
    seconds = cells.seconds(end - ticks)
    return f"{seconds:.0f} s left" if seconds >= 0 else f"over for {-seconds:.0f} s"


def _entry(step: Lookup) -> dict[str, str]:
    """What the entry that was hit asks for, without what it does not look at."""
    found = {}
    for field, match in zip(step.key, step.entry, strict=bool(step.entry)):
        text = _match(field, match)
        if text:
            found[field.name] = text
    return found


def _match(field: Field, match: Match) -> str:
    def shown(value: int) -> str:
        return _value(Field(field.name, value, field.width, field.format))

    full = (1 << field.width) - 1
    match match:
        case Exact(value):
            return shown(value)
        case Prefix(value, length):
            return f"{shown(value)}/{length}" if length else ""
        case Masked(value, mask):
            return shown(value) if mask == full else f"{shown(value)}&{mask:#x}" if mask else ""
        case Range(low, high):
            return "" if (low, high) == (0, full) else f"{shown(low)}..{shown(high)}"


def _value(field: Field) -> str:
    match field.format:
        case "IPV4_ADDRESS":
            return format_addr(field.value)
        case "MAC_ADDRESS":
            return field.value.to_bytes(6, "big").hex(":")
    return str(field.value)


def _port(port: int) -> str:
    return "the controller" if port == CPU_PORT else f"port {port}"


def _metadata(field: str) -> str:
    """The name of a field of the program's metadata; empty for any other field."""
    found = _METADATA.search(field)
    return found[1] if found else ""


def _short(name: str) -> str:
    """A name without the control that everything is in, or twice in a row."""
    *_, control, table = ["", *name.split(".")]
    return (
        table if control in (table, "") or control.startswith("Gateway") else f"{control}.{table}"
    )
