"""Where P4Runtime is served, and who may become controller: a Unix socket, or TCP with TLS.

Whoever reaches the address may push programs and write tables. A Unix socket is made with mode
0600, so that only its owner and root reach it. TCP is open to all who can send to the address,
those of other users of this machine included, unless clients have to show a certificate.
"""

from __future__ import annotations

import os
import socket
import ssl
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from p4softswitch.errors import PortError

UNIX = "unix:"
DEFAULT_ADDRESS = f"{UNIX}/run/p4alg/p4runtime.sock"
_LONGEST_PATH = 107
"""Bytes of a path that fit into a socket address (unix(7))."""
_CHOOSE = "choose another with --grpc"


@dataclass(frozen=True, slots=True)
class Tls:
    """The server's own certificate and key, and whose certificates clients have to show.

    All are PEM. Without `client_ca` clients know the server, but the server does not know them.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """What gRPC wants of them. `PortError` if a file cannot be used."""
        pair = (_read(self.key), _read(self.cert))
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key)
        except (ssl.SSLError, OSError):
            raise PortError(f"{self.cert} and {self.key} are no certificate and its key") from None
        if self.client_ca is None:
            return grpc.ssl_server_credentials([pair])
        authority = _read(self.client_ca)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(self.client_ca)
        except (ssl.SSLError, OSError):
            raise PortError(f"{self.client_ca} holds no certificates") from None
        return grpc.ssl_server_credentials([pair], authority, require_client_auth=True)


def problem(address: str) -> str | None:
    """What is wrong with the form of an address; None if nothing is."""
    if address.startswith(UNIX):
        path = address.removeprefix(UNIX)
        if not path.startswith("/"):
            return "give the whole path of the socket, as unix:/PATH"
        if len(os.fsencode(path)) > _LONGEST_PATH:
            return f"the path of a socket has at most {_LONGEST_PATH} bytes"
        return None
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        return "give HOST:PORT or unix:/PATH"
    return None


def is_open_to_others(address: str, tls: Tls | None) -> bool:
    """Whether more than the user who runs the switch and root can become controller."""
    return not address.startswith(UNIX) and (tls is None or tls.client_ca is None)


def listen(server: grpc.aio.Server, address: str, tls: Tls | None) -> int:
    """Have `server` listen on `address`; the port it got, or 0. `PortError` if that fails."""
    if address.startswith(UNIX):
        _listen_unix(server, Path(address.removeprefix(UNIX)))
        return 0
    try:
        if tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, tls.credentials())
    except RuntimeError:
        raise PortError(
            f"cannot listen on {address}: address in use or not of this machine; {_CHOOSE}"
        ) from None


def withdraw(address: str) -> None:
    """Remove what `listen` left in the file system."""
    if address.startswith(UNIX):
        with suppress(OSError):
            Path(address.removeprefix(UNIX)).unlink(missing_ok=True)


def _listen_unix(server: grpc.aio.Server, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _free(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise PortError(f"cannot listen on {path}: {why}; {_CHOOSE}") from None
    # There must be no moment in which another user can connect.
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"{UNIX}{path}")
    except RuntimeError:
        raise PortError(f"cannot listen on {path}: no permission; {_CHOOSE}") from None
    finally:
        os.umask(before)
    mode = path.stat().st_mode
    if stat.S_IMODE(mode) != 0o600:
        raise PortError(f"cannot keep others from {path}: its mode is {stat.filemode(mode)}")


def _free(path: Path) -> None:
    """Raise `PortError` if the path is in use. gRPC would take a socket from its server."""
    if path.exists() and not path.is_socket():
        raise PortError(f"cannot listen on {path}: it is not a socket; {_CHOOSE}")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)
            return
    raise PortError(f"cannot listen on {path}: another switch serves it; {_CHOOSE}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PortError(f"cannot read {path}: {error.strerror}") from None
