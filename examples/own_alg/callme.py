"""Both ends of CALLME: `callme.py server`, and `callme.py client SERVER`."""

import socket
import sys

PORT = 7000
OWN_PORT = 40000
PATIENCE = 5.0


def serve() -> None:
    """Call every client back at the endpoint that it names."""
    with socket.create_server(("", PORT)) as waiting:
        while True:
            control, _ = waiting.accept()
            with control:
                control.sendall(b"HELLO\n")
                words = control.makefile("rb").readline().decode().split()
                try:
                    where = (words[1], int(words[2]))
                    with socket.create_connection(where, PATIENCE) as call:
                        call.sendall(f"hello, you at {words[1]}:{words[2]}".encode())
                except (OSError, IndexError, ValueError):
                    continue


def be_called(server: str) -> str:
    """Ask for a call and wait for it; what the caller says."""
    with (
        socket.create_server(("", OWN_PORT)) as waiting,
        socket.create_connection((server, PORT), PATIENCE) as control,
    ):
        waiting.settimeout(PATIENCE)
        control.makefile("rb").readline()
        own = control.getsockname()[0]
        control.sendall(f"CALLME {own} {OWN_PORT}\n".encode())
        try:
            call, caller = waiting.accept()
        except TimeoutError:
            return "nobody called"
        with call:
            return f"{caller[0]} called: {call.recv(200).decode()}"


if __name__ == "__main__":
    if sys.argv[1] == "server":
        serve()
    print(be_called(sys.argv[2]))
