"""`p4alg packet-trace`: what the switch would do with a packet, stage by stage, and why.

The packet runs in this process, with the entries and registers of the switch, which is only read.
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import sys
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import grpc

from p4alg.artifacts import named
from p4alg.cli import journey
from p4alg.cli.connection import add_socket, client
from p4alg.config.errors import UsageError, UserError
from p4alg.driver.p4runtime.channel import refuse_strangers
from p4alg.driver.target import TargetError
from p4alg.engine import cells
from p4alg.packet.checksum import checksum, transport_checksum
from p4alg.packet.ipv4 import build_ipv4
from p4alg.protocols import ICMP, NUMBERS, TCP, UDP
from p4softswitch.errors import SwitchError
from p4softswitch.io.pcap import read_pcap
from p4softswitch.p4rt.proto import p4r, text_format
from p4softswitch.tracing import Follower, P4RuntimeSource, Step

_MAC = 0x02_00_00_00_00_01
"""Of whoever sends the packet: any will do."""
_NO_REGISTERS = (
    "this switch does not let registers be read: plain flows that are there count as new"
)
_MAX_PORT = 511
_ECHO, _ECHO_REPLY = 8, 0

End = tuple[int, int | None]


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "packet-trace", help="what the switch would do with a packet, and why"
    )
    parser.add_argument("proto", nargs="?", help="tcp, udp, icmp, or a number")
    parser.add_argument("source", nargs="?", metavar="FROM", type=_end, help="ADDR[:PORT]")
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TO",
        type=_end,
        help="ADDR[:PORT]; an ICMP echo has its id at FROM, a reply at TO",
    )
    parser.add_argument(
        "--in",
        dest="port",
        type=_number(0, _MAX_PORT),
        required=True,
        metavar="PORT",
        help="the port of the switch by which it comes",
    )
    parser.add_argument(
        "--flags",
        default="syn",
        type=_flags,
        help=f"of TCP, with commas: {', '.join(journey.FLAGS)} (default: %(default)s)",
    )
    parser.add_argument("--ttl", type=_number(0, 255), default=64, help="default: %(default)s")
    parser.add_argument(
        "--vlan", type=_number(0, 4094), default=0, metavar="ID", help="its VLAN, if it has a tag"
    )
    parser.add_argument(
        "--payload", type=_bytes, default=b"", metavar="HEX", help="what it carries, as hex digits"
    )
    parser.add_argument(
        "--pcap", nargs=2, metavar=("FILE", "N"), help="the Nth frame of a file instead, from 1"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="with each condition, value and empty cell"
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="one object")
    add_socket(parser)
    parser.set_defaults(handler=_run)


def _number(low: int, high: int) -> Any:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {low} to {high}")
        return int(text)

    return parse


def _end(text: str) -> End:
    addr, colon, port = text.partition(":")
    try:
        return int(IPv4Address(addr)), _number(0, 0xFFFF)(port) if colon else None
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not ADDR or ADDR:PORT") from None


def _flags(text: str) -> int:
    try:
        return journey.flags_value(word for word in text.lower().split(",") if word)
    except KeyError as error:
        known = ", ".join(journey.FLAGS)
        raise argparse.ArgumentTypeError(f"no flag {error} (known: {known})") from None


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not hex digits") from None


def _run(args: argparse.Namespace) -> int:
    given = _frame_of_file(*args.pcap) if args.pcap else None
    if given is None:
        _check(args)
    elif args.proto is not None:
        raise UsageError("give a packet, or --pcap FILE N: not both")
    where = client(args).call("where", clock=True)
    ticks = int(where["ticks"])
    try:
        with _channel(where) as channel:
            follower = _follower(where, P4RuntimeSource(channel, where["device_id"]))
            steps, frame = _follow(follower, args, given, _age(ticks))
    except SwitchError as error:
        raise UserError(f"{where['grpc']}: {error}") from None
    if not follower.registers_are_known:
        print(f"p4alg: note: {_NO_REGISTERS}", file=sys.stderr)
    end = journey.outcome(steps)
    if args.as_json:
        told = {
            "port": args.port,
            "frame": frame.hex(),
            "registers": follower.registers_are_known,
            "steps": journey.rows(steps),
            "result": end.result,
            "reason": end.reason,
        }
        print(json.dumps(told))
        return 0
    print(f"packet: port {args.port}: {journey.described(frame)}")
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
    for line in journey.lines(steps, ticks, columns, args.verbose):
        print(line)
    print(f"result: {end}")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise `UsageError` for a packet that cannot be made."""
    if args.target is None:
        raise UsageError("give a packet as PROTO FROM TO, or --pcap FILE N")
    proto = _proto(args.proto)
    if proto in (TCP, UDP) and None in (args.source[1], args.target[1]):
        raise UsageError(f"{args.proto} has ports: give FROM and TO as ADDR:PORT")
    if proto == ICMP and (args.source[1] is None) == (args.target[1] is None):
        raise UsageError("icmp: give the id of an echo as FROM ADDR:ID, of a reply as TO ADDR:ID")


def _proto(name: str) -> int:
    if name.lower() in NUMBERS:
        return NUMBERS[name.lower()]
    if name.isascii() and name.isdigit() and int(name) < 256:
        return int(name)
    raise UsageError(f"no protocol '{name}' (known: {', '.join(NUMBERS)}, or a number)")


def _frame_of_file(file: str, number: str) -> bytes:
    try:
        frames = read_pcap(Path(file))
    except SwitchError as error:
        raise UsageError(str(error)) from None
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= len(frames):
        raise UsageError(f"{file} has frames 1 to {len(frames)}: there is no '{number}'")
    return frames[int(number) - 1][1]


def _frame(args: argparse.Namespace, mac: int) -> bytes:
    """The frame that the options describe, to a MAC address of the gateway."""
    proto = _proto(args.proto)
    (src, src_id), (dst, dst_id) = args.source, args.target
    body: bytes = args.payload
    if proto == TCP:
        head = struct.pack("!HHIIBBHHH", src_id, dst_id, 1, 0, 5 << 4, args.flags, 65535, 0, 0)
        check = transport_checksum(src, dst, TCP, head + body)
        body = head[:16] + check.to_bytes(2, "big") + head[18:] + body
    elif proto == UDP:
        head = struct.pack("!HHHH", src_id, dst_id, 8 + len(body), 0)
        check = transport_checksum(src, dst, UDP, head + body)
        body = head[:6] + check.to_bytes(2, "big") + body
    elif proto == ICMP:
        kind = _ECHO if dst_id is None else _ECHO_REPLY
        head = struct.pack("!BBHHH", kind, 0, 0, src_id if dst_id is None else dst_id, 1)
        body = head[:2] + checksum(head + body).to_bytes(2, "big") + head[4:] + body
    return build_ipv4((mac, _MAC), args.vlan, src, dst, proto, body, args.ttl)


def _age(ticks: int) -> int:
    """How long the switch has been running when its clock shows `ticks`, in ns."""
    return max(ticks - 1, 0) * round(cells.TICK_SECONDS * 1e6) * 1000


def _follow(
    follower: Follower, args: argparse.Namespace, given: bytes | None, age: int
) -> tuple[list[Step], bytes]:
    """The steps of the packet, and its frame."""
    frame = _frame(args, 0) if given is None else given
    steps = follower.follow(args.port, frame, age)
    mac = journey.router_mac(steps)
    if given is None and mac is not None:
        frame = _frame(args, mac)
        steps = follower.follow(args.port, frame, age)
    return steps, frame


def _follower(where: dict[str, Any], source: P4RuntimeSource) -> Follower:
    """The program of the switch, in this process."""
    artifacts = named(where["program"])
    if artifacts.program.suffix != ".json":
        raise UserError("packet-trace follows packets in programs for v1model, and this is another")
    config = p4r.ForwardingPipelineConfig()
    try:
        artifacts.verify()
        text_format.Parse(artifacts.p4info.read_text(encoding="utf-8"), config.p4info)
        config.p4_device_config = artifacts.program.read_bytes()
    except TargetError as error:
        raise UserError(str(error)) from None
    return Follower(config, source)


def _channel(where: dict[str, Any]) -> grpc.Channel:
    """A channel to the switch, with the files that the controller uses."""
    files, address = where.get("tls"), where["grpc"]
    try:
        refuse_strangers(address)
        if not files:
            return grpc.insecure_channel(address)
        ca, key, cert = (
            Path(files[use]).read_bytes() if use in files else None for use in ("ca", "key", "cert")
        )
    except TargetError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from None
    name = where.get("tls_name")
    options = [("grpc.ssl_target_name_override", name)] if name else []
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, cert), options)
