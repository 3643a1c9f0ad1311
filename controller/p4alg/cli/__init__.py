"""The `p4alg` command. Exit status: 0 done, 1 failed, 2 wrong usage or configuration."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from p4alg.cli import alg, check, clear, events, lab, run, shell, show, switch, trace
from p4alg.config.errors import UserError
from p4alg.printable import printable

_COMMANDS = (run, switch, check, lab, show, clear, events, alg, trace, shell)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {_one_line(message)} (see '{self.prog} --help')\n")


def _one_line(text: object) -> str:
    """An error as one line, whatever the name of a file or a key in it holds."""
    return printable(" ".join(str(text).splitlines()))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="p4alg", description="NAT and firewall gateway on a P4 data path.")
    parser.add_argument("--version", action="version", version=f"p4alg {version('p4alg')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.register(commands)
    _name_parsers(parser)
    return parser


def _name_parsers(parser: argparse.ArgumentParser) -> None:
    """Let the result of parsing name the parser of the command, so that its help is pointed to."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                inner.set_defaults(parser=inner)
                _name_parsers(inner)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; `argv` without the program name. Returns the exit status."""
    try:
        args, unknown = _parser().parse_known_args(argv)
        if unknown:
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        status: int = args.handler(args)
        sys.stdout.flush()
        return status
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 0
    except UserError as exc:
        print(f"p4alg: {_one_line(exc)}", file=sys.stderr)
        return exc.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output left; keep the interpreter from reporting it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
