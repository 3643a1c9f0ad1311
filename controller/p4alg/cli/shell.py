"""`p4alg shell`: p4runtime-shell on the running switch.

p4runtime-shell needs an older protobuf than the controller, so it runs in the environment of the
PTF tests. It connects with a lower election id than the controller. By that it can read
everything and write nothing.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from p4alg.cli.connection import add_socket, client, find
from p4alg.config.errors import UserError
from p4alg.lab import runner

PYTHON_VARIABLE = "P4ALG_SHELL_PYTHON"
_CHECKOUT = Path(__file__).resolve().parents[3] / ".venv-ptf" / "bin" / "python"
_ELECTION_ID = "0,1"


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("shell", help="p4runtime-shell on the running switch (reads)")
    add_socket(parser)
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    where = client(args).call("where")
    python = Path(os.environ.get(PYTHON_VARIABLE) or _CHECKOUT)
    if not python.is_file():
        raise UserError(
            f"p4runtime-shell is not set up: run 'make setup', or set {PYTHON_VARIABLE} "
            "to a Python that has it"
        )
    options = ["--grpc-addr", where["grpc"], "--device-id", str(where["device_id"])]
    options += tls(where.get("tls", {}))
    command = [str(python), "-m", "p4runtime_sh", *options, "--election-id", _ELECTION_ID]
    try:
        return runner.call_at_switch(command, find(args))
    except OSError as error:
        raise UserError(
            f"cannot run {python} ({error.strerror}): run 'make setup', or set {PYTHON_VARIABLE} "
            "to a Python that has p4runtime-shell"
        ) from None


def tls(files: dict[str, str]) -> list[str]:
    """The options for TLS, with the controller's own files; none if it is not used."""
    if not files:
        return []
    names = {"ca": "--cacert", "cert": "--cert", "key": "--private-key"}
    return ["--ssl", *(word for use, file in files.items() for word in (names[use], file))]
