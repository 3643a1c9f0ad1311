"""Writes the manual pages: one of p4alg, and one of each of its commands.

What an option does comes from the parser; exit statuses and the environment come from
docs/command-line.md, so that neither is written twice.

    python -m distribution.manpages FOLDER
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from distribution.commands import Command, arguments, built_on, command, explained, walk
from p4alg.cli import parser

ROOT = Path(__file__).resolve().parents[1]
_DOCUMENT = ROOT / "docs" / "command-line.md"
_CODE = re.compile(r"`([^`]*)`")
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


def pages() -> dict[str, str]:
    """The text of each page by the name of its file."""
    top = command(parser())
    texts = {_file(top): "".join(_first(top))}
    for one in top.inner:
        texts[_file(one)] = "".join(_page(one, top))
    return texts


def _file(one: Command) -> str:
    return f"{_name(one)}.1"


def _name(one: Command) -> str:
    return one.name.replace(" ", "-")


def roff(text: str) -> str:
    """Text as roff that shows just that, in one line."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{line}" if line.startswith(".") else line


def _head(one: Command) -> Iterator[str]:
    day = built_on().date().isoformat()
    yield f'.TH {_name(one).upper()} 1 "{day}" "p4alg {version("p4alg")}" "User Commands"\n'
    summary = one.help.rstrip(".")
    yield f".SH NAME\n{roff(_name(one))} \\- {roff(summary)}\n"


def _first(top: Command) -> Iterator[str]:
    yield from _head(top)
    yield ".SH SYNOPSIS\n.B p4alg\n.I COMMAND\n[OPTIONS]\n.br\n.B p4alg \\-\\-version\n"
    yield ".SH COMMANDS\n"
    for one in top.inner:
        yield f".TP\n.BR {roff(_name(one))} (1)\n{roff(one.help)}\n"
    for heading, first in (("EXIT STATUS", "exit status"), ("ENVIRONMENT", "environment variable")):
        yield f".SH {heading}\n"
        for cells in table(_DOCUMENT.read_text(encoding="utf-8"), first):
            default = f" (default: {cells[1]})" if len(cells) > 2 and cells[1] != "none" else ""
            yield f".TP\n.B {roff(cells[0])}\n{roff(cells[-1] + default)}\n"
    yield from _also([_name(one) for one in top.inner])


def _page(one: Command, top: Command) -> Iterator[str]:
    yield from _head(one)
    yield ".SH SYNOPSIS\n"
    # A command that has actions does something itself only if it has options.
    runs = not one.inner or bool(arguments(one))
    actions = [action for action in walk(one) if action is not one]
    leaves = [action for action in actions if not action.inner]
    yield ".br\n".join(_synopsis(at) for at in ([one] if runs else []) + leaves)
    if runs and one.parser.description:
        yield f".SH DESCRIPTION\n{roff(one.parser.description)}\n"
    if arguments(one):
        yield ".SH OPTIONS\n"
        yield from _options(one)
    if actions:
        yield ".SH ACTIONS\n"
        for action in actions:
            text = action.parser.description or action.help
            yield f".SS {roff(action.name)}\n{roff(text)}\n"
            yield from _options(action)
    yield ".SH EXIT STATUS\n0: done; 1: failed; 2: wrong usage or configuration. See\n"
    yield f".BR {_name(top)} (1).\n"
    yield from _also([_name(top)])


def _synopsis(one: Command) -> str:
    usage = " ".join(one.parser.format_usage().split()).removeprefix("usage: ")
    rest = usage.removeprefix(one.name).removeprefix(" [-h]").strip()
    return f".B {roff(one.name)}\n" + (f"{roff(rest)}\n" if rest else "")


def _options(one: Command) -> Iterator[str]:
    for action in arguments(one):
        yield f".TP\n.B {roff(_invocation(one, action))}\n{roff(explained(one, action))}\n"


def _invocation(one: Command, action: argparse.Action) -> str:
    return one.parser._get_formatter()._format_action_invocation(action)


def _also(names: list[str]) -> Iterator[str]:
    yield ".SH SEE ALSO\n"
    for n, name in enumerate(names):
        yield f".BR {roff(name)} (1){',' if n < len(names) - 1 else ''}\n"


def table(document: str, first: str) -> list[list[str]]:
    """The rows of a document's table whose first heading is `first`, as plain text."""
    rows: list[list[str]] = []
    lines = iter(document.splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            next(lines)
            for row in lines:
                if not row.startswith("| "):
                    return rows
                plain = _LINK.sub(r"\1", _CODE.sub(r"\1", row))
                rows.append([cell.strip() for cell in plain.strip().strip("|").split("|")])
    return rows


def main(folder: Path) -> None:
    """Write all pages to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
