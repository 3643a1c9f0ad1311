"""Command line of the switch; `p4alg switch` calls `main`.

Exit status: 0 after SIGTERM or SIGINT, 1 if the switch could not be started, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from p4softswitch.errors import CompilerError, SwitchError
from p4softswitch.executor.compiler import translate
from p4softswitch.io.spec import InterfaceSpec, PortSpec, parse_port
from p4softswitch.native.compiler import Compiler, describe
from p4softswitch.native.library import MAX_WORKERS, runtime
from p4softswitch.p4rt.codes import RpcError
from p4softswitch.p4rt.lacking import Part
from p4softswitch.p4rt.listening import DEFAULT_ADDRESS, UNIX, Tls, problem
from p4softswitch.p4rt.proto import p4r, text_format
from p4softswitch.program.bmv2_json import load_program
from p4softswitch.server import Server, Settings

__all__ = ["Compiler", "CompilerError", "add_arguments", "compiler", "main", "run"]

_LEVELS = ("debug", "info", "warning", "error")
_AT_MOST = 4
"""Workers that are started unasked: what more of them gain was not measured."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the switch to a parser."""
    parser.add_argument(
        "-i",
        "--interface",
        action="append",
        default=[],
        metavar="PORT@IFACE",
        dest="ports",
        help="attach a port to an interface, or to files: PORT@file:IN.pcap,OUT.pcap",
    )
    parser.add_argument(
        "--grpc",
        default=DEFAULT_ADDRESS,
        metavar="ADDRESS",
        help="where to serve P4Runtime: unix:/PATH or HOST:PORT (default: %(default)s)",
    )
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="serve with TLS: the switch's certificate"
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="and its key")
    parser.add_argument(
        "--tls-client-ca",
        type=Path,
        metavar="FILE",
        help="let in only clients with a certificate of this authority",
    )
    parser.add_argument(
        "--device-id",
        type=int,
        default=1,
        metavar="N",
        help="P4Runtime device id (default: %(default)s)",
    )
    parser.add_argument(
        "--cpu-port",
        type=int,
        default=510,
        metavar="PORT",
        help="port of packet-ins and packet-outs (default: %(default)s)",
    )
    parser.add_argument(
        "--drop-port",
        type=int,
        default=511,
        metavar="PORT",
        help="port whose packets are dropped (default: %(default)s)",
    )
    parser.add_argument("--p4info", type=Path, metavar="FILE", help="start with this P4Info (text)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="and this BMv2 JSON")
    parser.add_argument(
        "--without",
        default="",
        metavar="PARTS",
        help="do without parts of P4Runtime, to try a controller: " + ", ".join(Part),
    )
    parser.add_argument(
        "--dump-source",
        action="store_true",
        help="print the C that --json is translated to, and do nothing else",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="threads that run packets of interfaces, each whole flows"
        f" (1..{MAX_WORKERS}; default: one for every two processors, at most {_AT_MOST})",
    )
    parser.add_argument(
        "--log-level",
        choices=_LEVELS,
        default="warning",
        help="what to tell on stderr (default: %(default)s)",
    )


def compiler() -> Compiler:
    """The C compiler that was used, after it has compiled the runtime unless that is in its cache.

    Raises `CompilerError` if there is none, or if it cannot compile.
    """
    runtime()
    return describe()


class UsageError(Exception):
    """The arguments contradict each other or cannot be read."""


def settings_from(args: argparse.Namespace) -> Settings:
    """Settings for parsed arguments; `UsageError` if they contradict each other."""
    ports: list[PortSpec] = []
    for text in args.ports:
        try:
            ports.append(parse_port(text))
        except ValueError as exc:
            raise UsageError(str(exc)) from exc
    numbers = [p.port for p in ports]
    for number in numbers:
        if numbers.count(number) > 1:
            raise UsageError(f"port {number} is given twice")
        if number in (args.cpu_port, args.drop_port):
            raise UsageError(f"port {number} is the CPU port or the drop port")
    if not 0 < args.cpu_port < 512 or not 0 < args.drop_port < 512:
        raise UsageError("CPU port and drop port are in 1..511")
    if args.cpu_port == args.drop_port:
        raise UsageError("CPU port and drop port are the same")
    if args.device_id < 1:
        raise UsageError("the device id is a positive number")
    if args.workers is not None and not 1 <= args.workers <= MAX_WORKERS:
        raise UsageError(f"--workers is in 1..{MAX_WORKERS}")
    wrong = problem(args.grpc)
    if wrong is not None:
        raise UsageError(f"--grpc {args.grpc}: {wrong}")
    tls = _tls_from(args)
    if (args.p4info is None) != (args.json is None):
        raise UsageError("give --p4info and --json together")
    config = None if args.p4info is None else _read_config(args.p4info, args.json)
    return Settings(
        ports,
        args.grpc,
        args.device_id,
        args.cpu_port,
        args.drop_port,
        config,
        tls,
        args.workers or _default_workers(),
        _parts(args.without),
    )


def _default_workers() -> int:
    """One for every two processors: the other is for what Linux does with the frames."""
    return min(_AT_MOST, max(1, len(os.sched_getaffinity(0)) // 2))


def _parts(text: str) -> frozenset[Part]:
    names = [name.strip() for name in text.split(",")] if text else []
    for name in names:
        if name not in list(Part):
            raise UsageError(f"--without {name}: no such part (known: {', '.join(Part)})")
    return frozenset(map(Part, names))


def _tls_from(args: argparse.Namespace) -> Tls | None:
    if args.tls_cert is None and args.tls_key is None and args.tls_client_ca is None:
        return None
    if args.tls_cert is None or args.tls_key is None:
        raise UsageError("TLS needs --tls-cert and --tls-key together")
    if args.grpc.startswith(UNIX):
        raise UsageError("TLS is for HOST:PORT: give such a --grpc, or no --tls options")
    return Tls(args.tls_cert, args.tls_key, args.tls_client_ca)


def _read_config(p4info: Path, program: Path) -> Any:
    config = p4r.ForwardingPipelineConfig()
    try:
        text_format.Parse(p4info.read_text(encoding="utf-8"), config.p4info)
        config.p4_device_config = program.read_bytes()
    except OSError as exc:
        raise UsageError(f"cannot read {exc.filename}: {exc.strerror}") from exc
    except (text_format.ParseError, UnicodeDecodeError) as exc:
        line = str(exc).splitlines()[0]
        raise UsageError(f"{p4info} is not P4Info in text format: {line}") from exc
    return config


async def _serve(settings: Settings) -> None:
    # A signal may come while the switch starts: then it ends in order as soon as it has.
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    server = Server(settings)
    await server.start()
    ports = " ".join(
        f"{p.port}@{p.interface if isinstance(p, InterfaceSpec) else 'file'}"
        for p in settings.ports
    )
    try:
        print(f"p4softswitch: ready, grpc {server.address}, ports {ports or 'none'}", flush=True)
    except BrokenPipeError:
        # Who read our output has left. That is no reason to stop forwarding.
        _forget_output()
    await done.wait()
    await server.stop()


def _forget_output() -> None:
    """Lose what is still to be written to standard output, whose reader has left."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _dump_source(path: Path | None) -> int:
    if path is None:
        print("p4softswitch: --dump-source needs --json", file=sys.stderr)
        return 2
    try:
        program = path.read_bytes()
    except OSError as exc:
        print(f"p4softswitch: cannot read {path}: {exc.strerror}", file=sys.stderr)
        return 2
    try:
        print(translate(load_program(program)).source, flush=True)
    except SwitchError as exc:
        print(f"p4softswitch: {exc}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        _forget_output()
        return 1
    return 0


def run(args: argparse.Namespace) -> int:
    """Run the switch with parsed arguments; returns the exit status."""
    if args.dump_source:
        return _dump_source(args.json)
    level = getattr(logging, args.log_level.upper())
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    try:
        uvloop.run(_serve(settings_from(args)))
    except UsageError as exc:
        print(f"p4softswitch: {exc}", file=sys.stderr)
        return 2
    except (SwitchError, RpcError) as exc:
        print(f"p4softswitch: {exc}", file=sys.stderr)
        return 1
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; `argv` without the program name."""
    parser = argparse.ArgumentParser(
        prog="p4softswitch", description="Embedded P4Runtime switch for v1model programs."
    )
    add_arguments(parser)
    try:
        args = parser.parse_args(argv)
    except SystemExit as exc:
        return int(exc.code or 0)
    return run(args)


if __name__ == "__main__":
    sys.exit(main())
