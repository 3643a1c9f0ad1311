"""Reads the commands of a page, and compares what they print with what the page shows.

A block marked ``console`` holds commands behind ``$ ``, each with its output below it, and behind
``mininet> `` what is typed at the prompt that the command gives. Of the output a page may leave out
lines, and the ends of lines; what it shows has to come, in the page's order. Addresses have to be
equal; other numbers are equal to any, as ports and times are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

PROMPT, TYPED = "$ ", "mininet> "
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBERS = re.compile(
    r"""(?P<address>(?<![\d.,])\d+[.,]\d+[.,]\d+[.,]\d+)  # with dots, or as FTP writes it
      | \d+(?:\.\d+)?                                    # anything else
    """,
    re.VERBOSE,
)


@dataclass(slots=True)
class Command:
    """A command, what is typed at its prompt, and the lines that its output has to have."""

    text: str
    typed: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


def commands(page: str) -> Iterator[Command]:
    """The commands of a page, in order."""
    for block in _BLOCK.findall(page):
        first, *rest = re.split(rf"^{re.escape(PROMPT)}", block, flags=re.MULTILINE)
        assert not first, f"output without a command: {first}"
        for part in rest:
            text, *lines = part.splitlines()
            command = Command(text)
            for line in lines:
                if line.startswith(TYPED):
                    command.typed.append(line.removeprefix(TYPED))
                else:
                    command.shown.append(line)
            yield command


def missing(command: Command, output: str) -> str:
    """The first shown line that does not come where it should; empty if all do."""
    lines = iter([_plain(line) for line in output.splitlines()])
    for shown in command.shown:
        # The search goes on behind the line that was found.
        if not any(line.startswith(_plain(shown)) for line in lines):
            return shown
    return ""


def _plain(line: str) -> str:
    """A line without the numbers that differ from run to run, and without prompts."""
    line = line.replace(TYPED.strip(), "")
    return " ".join(_NUMBERS.sub(lambda found: found["address"] or "N", line).split())
