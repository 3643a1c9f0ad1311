"""`p4alg lab`: build, use and remove a lab."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p4alg.config import loader
from p4alg.config.errors import UsageError, UserError
from p4alg.lab import plan, runner, topology
from p4alg.lab.runner import Options
from p4alg.lab.topology import Topology
from p4alg.printable import printable


def register(commands: Any) -> None:
    """Add the command and its own commands to the parser."""
    lab = commands.add_parser("lab", help="a gateway with hosts around it, to try and to test")
    actions = lab.add_subparsers(metavar="ACTION", required=True)

    up = actions.add_parser("up", help="build the lab, start its switch and its controller")
    _add_what(up)
    up.add_argument(
        "--workers",
        type=_workers,
        metavar="N",
        default=0,
        help="threads of an embedded switch that run packets (default: it chooses)",
    )
    up.set_defaults(handler=_up)

    mininet = actions.add_parser("mininet", help="build the lab in Mininet, and give its prompt")
    _add_what(mininet)
    mininet.add_argument(
        "--grpc-port",
        type=_port,
        metavar="PORT",
        help="have the first switch serve P4Runtime on this port of 127.0.0.1, for every user of "
        "the machine; 0: a free one (default: a Unix socket)",
    )
    mininet.set_defaults(handler=_mininet)

    execute = actions.add_parser("exec", help="run a command in a host of the lab")
    execute.add_argument("host", metavar="HOST", help="its name in the topology, or switch")
    execute.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...", help="what to run there"
    )
    execute.set_defaults(handler=_exec)

    status = actions.add_parser("status", help="what is up; exits 1 if a process has ended")
    status.add_argument("--json", action="store_true", dest="as_json", help="as JSON")
    status.set_defaults(handler=_status)

    restart = actions.add_parser("restart", help="end a switch or controller and start it again")
    restart.add_argument("what", metavar="WHAT", help="switch, controller, or its name in 'status'")
    restart.set_defaults(handler=_restart)

    logs = actions.add_parser("logs", help="what the processes of the lab have written")
    logs.set_defaults(handler=_logs)

    down = actions.add_parser("down", help="remove the lab, also after a crash")
    down.set_defaults(handler=_down)


def _add_what(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is to be built."""
    parser.add_argument(
        "topology",
        nargs="?",
        default=topology.DEFAULT,
        metavar="TOPOLOGY",
        help=f"{', '.join(topology.SHIPPED)}, or a file (default: {topology.DEFAULT})",
    )
    parser.add_argument(
        "--target",
        choices=plan.TARGETS,
        default=plan.TARGETS[0],
        help=f"the switch (default: {plan.TARGETS[0]})",
    )
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="[SWITCH=]CONFIG",
        help="a gateway's configuration (default: the one beside the topology)",
    )
    parser.add_argument(
        "--no-controller", action="store_true", help="leave the switches to a controller of yours"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="put logs and captures there, and keep them"
    )
    parser.add_argument("--no-servers", action="store_true", help="start no servers in hosts")
    parser.add_argument("--pcap", action="store_true", help="capture what crosses each port")
    parser.add_argument("--messages", action="store_true", help="record P4Runtime messages")
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="warning",
        help="what the switches log (default: %(default)s)",
    )
    parser.add_argument(
        "--without",
        default="",
        metavar="PARTS",
        help="parts of P4Runtime that embedded switches do without, as of p4alg switch",
    )


def _workers(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of threads")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535 - topology.MAX_SWITCHES:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port")
    return int(text)


def _options(args: argparse.Namespace) -> Options:
    servers = not args.no_servers
    # Mininet's switches choose by themselves.
    workers = getattr(args, "workers", 0)
    return Options(
        args.folder, args.pcap, args.messages, servers, args.log_level, workers, args.without
    )


def _configs(args: argparse.Namespace, lab: Topology) -> Mapping[str, Path]:
    """The checked configuration of each switch that gets a controller."""
    if args.no_controller:
        if args.config:
            raise UsageError("-c and --no-controller contradict each other: give one of them")
        return {}
    configs = {name: path for name in lab.switches if (path := lab.config(name)) is not None}
    for word in args.config:
        name, equals, path = word.partition("=")
        if equals and name in lab.switches:
            configs[name] = Path(path)
        elif len(lab.switches) == 1:
            configs[lab.switches[0]] = Path(word)
        else:
            raise UsageError(f"-c {word}: give SWITCH=FILE (switches: {', '.join(lab.switches)})")
    for path in configs.values():
        loader.read(path)
    return configs


def _up(args: argparse.Namespace) -> int:
    if args.workers and args.target != "embedded":
        raise UsageError(f"--workers is for the embedded switch, not for {args.target}")
    what = topology.read(topology.find(args.topology))
    configs = _configs(args, what)
    runner.up(what, args.target, configs, options=_options(args))
    _say_what_is_up()
    return 0


def _mininet(args: argparse.Namespace) -> int:
    # Nothing else needs Mininet, which is not everywhere.
    try:
        from p4alg.mininet import session
    except ImportError as error:
        raise UserError(str(error)) from None
    what = topology.read(topology.find(args.topology))
    configs = _configs(args, what)
    with session.started(what, args.target, configs, args.grpc_port, _options(args)) as net:
        _say_what_is_up()
        session.prompt(net)
    return 0


def _say_what_is_up() -> None:
    lab, sockets = runner.current(), runner.control_sockets()
    hosts = ", ".join(name for name in lab.hosts if name not in lab.switches)
    controllers = "no controller" if not sockets else "controller"
    if len(sockets) > 1:
        controllers = f"{len(sockets)} controllers"
    switches = "switch" if len(lab.switches) == 1 else f"{len(lab.switches)} switches"
    print(f"lab '{lab.topology}' is up ({lab.target} {switches}, {controllers}): {hosts}")
    for name, served in lab.switches.items():
        where = f", in namespace {lab.hosts[name]}" if lab.hosts[name] else ""
        print(f"  {name}: P4Runtime {served.grpc}, device id {served.device_id}{where}")
    if len(sockets) > 1:
        for name, socket in sockets.items():
            print(f"  {name}: commands by --socket {socket}")
    print(f"  logs: {runner.logs_folder(lab)}", flush=True)


def _exec(args: argparse.Namespace) -> int:
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("give a command: p4alg lab exec HOST -- COMMAND ...")
    runner.execute(args.host, command)


def _status(args: argparse.Namespace) -> int:
    lab = runner.current()
    processes = [{"name": p.name, "pid": p.pid, "running": p.alive()} for p in lab.processes]
    if args.as_json:
        served = {
            name: {"grpc": where.grpc, "device_id": where.device_id}
            for name, where in lab.switches.items()
        }
        shown = {
            "topology": lab.topology,
            "target": lab.target,
            "builder": lab.builder,
            "folder": str(runner.logs_folder(lab)),
            "hosts": lab.hosts,
            "switches": served,
        }
        print(json.dumps({**shown, "processes": processes}, indent=2))
    else:
        print(f"lab '{lab.topology}', {lab.target} switch")
        wide = max(
            [12, *(len(name) for name in lab.hosts), *(len(str(p["name"])) for p in processes)]
        )
        for name, space in lab.hosts.items():
            print(f"  {name:<{wide}} {f'namespace {space}' if space else 'this machine'}")
        for process in processes:
            what = f"running, pid {process['pid']}" if process["running"] else "ended"
            print(f"  {process['name']:<{wide}} {what}")
        for name, where in lab.switches.items():
            print(f"  {name:<{wide}} P4Runtime {where.grpc}, device id {where.device_id}")
    ended = [p["name"] for p in processes if not p["running"]]
    if ended:
        raise UserError(f"the {ended[0]} has ended: see 'p4alg lab logs', then 'p4alg lab down'")
    return 0


def _restart(args: argparse.Namespace) -> int:
    print(f"restarted: {', '.join(runner.restart(args.what))}")
    return 0


def _logs(_: argparse.Namespace) -> int:
    for name, text in runner.logs().items():
        for line in text.splitlines():
            print(printable(f"{name}: {line}"))
    return 0


def _down(_: argparse.Namespace) -> int:
    print("lab removed" if runner.down() else "no lab is up")
    return 0
