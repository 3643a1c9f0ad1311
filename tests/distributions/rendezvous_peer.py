"""Both ends of the Rendezvous toy protocol, run as a program in a host of a lab.

`server` waits on port 7777 and calls back whoever says where; `client ADDR PORT` waits on
PORT, tells its server so, and prints what the caller says.
"""

from __future__ import annotations

import socket
import sys

CONTROL = 7777
PATIENCE = 10.0


def serve() -> None:
    """Call back every client, one after the other."""
    with socket.create_server(("", CONTROL)) as waiting:
        print("ready", flush=True)
        while True:
            control, _ = waiting.accept()
            with control:
                control.settimeout(PATIENCE)
                control.sendall(b"RDV 1\n")
                words = control.makefile("rb").readline().decode().split()
                if len(words) != 3:
                    continue
                try:
                    with socket.create_connection((words[1], int(words[2])), PATIENCE) as call:
                        call.sendall(b"at " + " ".join(words[1:]).encode())
                except OSError as error:
                    print(error, flush=True)


def ask(server: str, port: int) -> int:
    """Be called by `server` at our `port`; 0 if that happens."""
    with socket.create_server(("", port)) as waiting:
        waiting.settimeout(PATIENCE)
        with socket.create_connection((server, CONTROL), PATIENCE) as control:
            assert control.makefile("rb").readline() == b"RDV 1\n"
            own = control.getsockname()[0]
            control.sendall(f"AT {own} {port}\n".encode())
            try:
                caller, _ = waiting.accept()
            except TimeoutError:
                return 1
            with caller:
                caller.settimeout(PATIENCE)
                print(caller.recv(200).decode())
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "server":
        serve()
    sys.exit(ask(sys.argv[2], int(sys.argv[3])))
