"""The `p4alg` command. Exit status: 0 done, 1 failed, 2 wrong usage or configuration."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import chain
from typing import Any, NoReturn

from p4alg.config.errors import UserError
from p4alg.printable import printable

_GROUPS = {
    "to run a gateway": ("run", "switch", "check", "doctor"),
    "to try one out": ("lab",),
    "to look at a gateway that runs, and to steer it": (
        "show",
        "top",
        "events",
        "clear",
        "alg",
        "config",
        "log",
        "trace",
        "packet-trace",
        "shell",
        "console",
        "export",
    ),
}
"""The commands, in the order and under the headings of ``p4alg --help``. Each is a module here."""
_EPILOG = """\
Begin with 'p4alg lab up' as root: a gateway with hosts around it, until
'p4alg lab down'. 'p4alg COMMAND --help' tells the options of a command.
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage in front of it."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Name the choice that may have been meant, rather than all of them."""
        if action.choices is not None and value not in action.choices:
            from difflib import get_close_matches

            near = get_close_matches(str(value), list(map(str, action.choices)), 1)
            if near:
                raise argparse.ArgumentError(
                    action, f"invalid choice: '{value}': did you mean '{near[0]}'?"
                )
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {_one_line(message)} (see '{self.prog} --help')\n")


class _Version(argparse.Action):
    """Looks the version up when it is asked for, which is more work than most commands are."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import version

        print(f"p4alg {version('p4alg')}")
        parser.exit()


class _Grouped(argparse.RawDescriptionHelpFormatter):
    """Lists the commands under the headings of their groups."""

    def _format_action(self, action: argparse.Action) -> str:
        if not isinstance(action, argparse._SubParsersAction):
            return super()._format_action(action)
        # The headings move the commands to the right, which argparse does not know.
        self._action_max_length += self._indent_increment
        rows = {row.dest: row for row in action._get_subactions()}
        lines = []
        # Commands stand deeper than argparse has measured them.
        self._action_max_length += self._indent_increment
        for heading, names in _GROUPS.items():
            lines.append(f"  {heading}:\n")
            self._indent()
            for name in names:
                lines.append(super()._format_action(rows[name]))
            self._dedent()
        return "".join(lines)


def _one_line(text: object) -> str:
    """An error as one line, whatever the name of a file or a key in it holds."""
    return printable(" ".join(str(text).splitlines()))


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands, or of one. Manual pages and completion are made from it too.

    What a command stands on is imported with it, which takes a second for all of them.
    """
    parser = _Parser(
        prog="p4alg",
        description="NAT and firewall gateway on a P4 data path.",
        epilog=_EPILOG,
        formatter_class=_Grouped,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show program's version number and exit"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _commands() if command is None else [command]:
        import_module(f"p4alg.cli.{name.replace('-', '_')}").register(commands)
    _name_parsers(parser)
    return parser


def _commands() -> list[str]:
    return list(chain.from_iterable(_GROUPS.values()))


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
        words = sys.argv[1:] if argv is None else argv
        first = words[0] if words and words[0] in _commands() else None
        args, unknown = parser(first).parse_known_args(words)
        if unknown:
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        status: int = args.handler(args)
        sys.stdout.flush()
        return status
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 0
    except UserError as exc:
        for line in exc.lines:
            print(f"p4alg: {_one_line(line)}", file=sys.stderr)
        return exc.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output left; keep the interpreter from reporting it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
