"""`p4alg lab`: build, use and remove a lab."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from p4alg.config import loader
from p4alg.config.errors import UsageError, UserError
from p4alg.lab import plan, runner, topology


def register(commands: Any) -> None:
    """Add the command and its own commands to the parser."""
    lab = commands.add_parser("lab", help="a gateway with hosts around it, in namespaces")
    actions = lab.add_subparsers(metavar="ACTION", required=True)

    up = actions.add_parser("up", help="build the lab and start its switch")
    up.add_argument(
        "topology",
        nargs="?",
        default=topology.DEFAULT,
        metavar="TOPOLOGY",
        help=f"a shipped one by name, or a file (default: {topology.DEFAULT})",
    )
    up.add_argument(
        "--target",
        choices=plan.TARGETS,
        default=plan.TARGETS[0],
        help=f"the switch (default: {plan.TARGETS[0]})",
    )
    up.add_argument(
        "-c", "--config", type=Path, metavar="CONFIG", help="also run a controller on its switch"
    )
    up.set_defaults(handler=_up)

    execute = actions.add_parser("exec", help="run a command in a host of the lab")
    execute.add_argument("host", metavar="HOST", help="its name in the topology, or switch")
    execute.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...", help="what to run there"
    )
    execute.set_defaults(handler=_exec)

    status = actions.add_parser("status", help="what is up; exits 1 if a process has ended")
    status.add_argument("--json", action="store_true", dest="as_json", help="as JSON")
    status.set_defaults(handler=_status)

    logs = actions.add_parser("logs", help="what the processes of the lab have written")
    logs.set_defaults(handler=_logs)

    down = actions.add_parser("down", help="remove the lab, also after a crash")
    down.set_defaults(handler=_down)


def _up(args: argparse.Namespace) -> int:
    if args.config is not None:
        loader.read(args.config)
    lab = runner.up(topology.read(topology.find(args.topology)), args.target, args.config)
    hosts = ", ".join(name for name in lab.hosts if name != topology.SWITCH)
    what = f"{lab.target} switch" + (", controller" if args.config is not None else "")
    print(f"lab '{lab.topology}' is up ({what}): {hosts}")
    return 0


def _exec(args: argparse.Namespace) -> int:
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("give a command: p4alg lab exec HOST -- COMMAND ...")
    return runner.execute(args.host, command)


def _status(args: argparse.Namespace) -> int:
    lab = runner.current()
    processes = [{"name": p.name, "pid": p.pid, "running": p.alive()} for p in lab.processes]
    if args.as_json:
        shown = {"topology": lab.topology, "target": lab.target, "hosts": lab.hosts}
        print(json.dumps({**shown, "processes": processes}, indent=2))
    else:
        print(f"lab '{lab.topology}', {lab.target} switch")
        for name, space in lab.hosts.items():
            print(f"  {name:<12} namespace {space}")
        for process in processes:
            what = f"running, pid {process['pid']}" if process["running"] else "ended"
            print(f"  {process['name']:<12} {what}")
    ended = [p["name"] for p in processes if not p["running"]]
    if ended:
        raise UserError(f"the {ended[0]} has ended: see 'p4alg lab logs', then 'p4alg lab down'")
    return 0


def _logs(_: argparse.Namespace) -> int:
    for name, text in runner.logs().items():
        for line in text.splitlines():
            print(f"{name}: {line}")
    return 0


def _down(_: argparse.Namespace) -> int:
    print("lab removed" if runner.down() else "no lab is up")
    return 0
