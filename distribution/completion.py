"""Writes the completion of bash, zsh and fish, from the parser of the command.

python -m distribution.completion FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import shtab

from distribution.commands import arguments, command, walk
from p4alg.cli import parser

FILES = {"bash": "p4alg", "zsh": "_p4alg", "fish": "p4alg.fish"}
"""The name under which each shell looks for the completion of p4alg."""


def scripts() -> dict[str, str]:
    """The script of each shell."""
    top = parser()
    for one in walk(command(top)):
        for action in arguments(one):
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return {shell: shtab.complete(top, shell=shell) for shell in FILES}


def main(folder: Path) -> None:
    """Write each script to ``FOLDER/SHELL/``."""
    for shell, text in scripts().items():
        (folder / shell).mkdir(parents=True, exist_ok=True)
        (folder / shell / FILES[shell]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
