"""Where a controller has its socket and its state if nothing else is said."""

from __future__ import annotations

import os
from pathlib import Path

SOCKET_VARIABLE = "P4ALG_SOCKET"
STATE_VARIABLE = "P4ALG_STATE"
SOCKET = "/run/p4alg/control.sock"
STATE = "/var/lib/p4alg/revisions"


def default_socket() -> Path:
    """The control socket for commands that read no configuration."""
    return Path(os.environ.get(SOCKET_VARIABLE) or SOCKET)
