"""Real TFTP in a lab: tftpd-hpa and atftpd in hosts, tftp-hpa, atftp and curl against them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from p4alg.config.errors import UserError
from p4alg.lab import plan, runner, state
from peers.ftp import Transfer, digest

FILE = "boot.img"
SERVERS = ("tftpd-hpa", "atftpd")
CLIENTS = ("tftp-hpa", "atftp", "curl")
PORT = 69
_PROGRAMS = {"tftpd-hpa": "in.tftpd", "tftp-hpa": "tftp", "atftpd": "atftpd", "atftp": "atftp"}
_UNPACKED = Path(sys.prefix) / "debian" / "usr" / "sbin"
"""Where `make setup` unpacks atftpd, which cannot be installed beside tftpd-hpa."""
_START_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A TFTP server in a host of the lab."""

    host: str
    folder: Path

    @property
    def file(self) -> Path:
        """The file that is there to be fetched."""
        return self.folder / FILE


def program(name: str) -> str | None:
    """The path of a server or client, by the name of its Debian package; None if missing."""
    found = shutil.which(_PROGRAMS.get(name, name))
    unpacked = _UNPACKED / _PROGRAMS.get(name, name)
    return found or (str(unpacked) if unpacked.is_file() else None)


def require() -> None:
    """Raise `UserError` if a program is missing."""
    for name in (*SERVERS, *CLIENTS):
        if program(name) is None:
            raise UserError(f"'{name}' is not installed: run 'make setup'")


def serve(host: str, kind: str, size: int) -> Server:
    """Start a TFTP server (one of `SERVERS`) in a host, with a file of `size` random bytes."""
    folder = state.directory() / f"tftp-{host}"
    folder.mkdir(mode=0o777)
    os.chmod(folder, 0o777)
    server = Server(host, folder)
    server.file.write_bytes(os.urandom(size))
    path = program(kind)
    assert path is not None
    if kind == "atftpd":
        own = ["--daemon", "--no-fork", "--user", "nobody", "--group", "nogroup"]
        command = [path, *own, "--logfile", "-", "--port", str(PORT), str(folder)]
    else:
        own = ["--foreground", "--listen", "--secure", "--create", "--permissive"]
        command = [path, *own, "--user", "nobody", "--address", f":{PORT}", str(folder)]
    process = runner.start(f"tftp-{host}", host, command)
    until = time.monotonic() + _START_SECONDS
    while not runner.listens(process.pid, PORT, proto="udp"):
        if not process.alive() or time.monotonic() > until:
            raise UserError(f"{kind} does not start in {host}: see 'p4alg lab logs'")
        time.sleep(0.05)
    return server


def fetch(
    client: str, host: str, server: Server, addr: str, limit: float, options: dict[str, int]
) -> Transfer:
    """Download with one of `CLIENTS` running in `host`; `limit` in seconds.

    `options` are TFTP's (blksize, tsize, windowsize) as far as the client has them.
    """
    target = state.directory() / f"tftp-got-{host}-{client}-{time.monotonic_ns()}"
    command = _command(client, addr, options, "get", FILE, target)
    return _run(host, command, server.file, target, limit)


def send(
    client: str, host: str, server: Server, addr: str, limit: float, options: dict[str, int]
) -> Transfer:
    """Upload the server's own file back to it under another name; `limit` in seconds."""
    name = f"{client}-{host}-{time.monotonic_ns()}"
    command = _command(client, addr, options, "put", name, server.file)
    return _run(host, command, server.file, server.folder / name, limit)


def _command(
    client: str, addr: str, options: dict[str, int], verb: str, name: str, local: Path
) -> list[str]:
    if client == "tftp-hpa":
        words = ["get", name, str(local)] if verb == "get" else ["put", str(local), name]
        return ["tftp", "-m", "binary", addr, "-c", *words]
    if client == "atftp":
        said = [w for key, value in options.items() for w in ("--option", f"{key} {value}")]
        files = ["--remote-file", name, "--local-file", str(local)]
        return ["atftp", f"--{verb}", *said, *files, addr]
    curl = ["curl", "-sS", "--tftp-blksize", str(options.get("blksize", 512))]
    where = f"tftp://{addr}/{name}"
    return [*curl, "-o", str(local), where] if verb == "get" else [*curl, "-T", str(local), where]


def _run(host: str, command: list[str], sent: Path, got: Path, limit: float) -> Transfer:
    begin = time.monotonic()
    try:
        done = subprocess.run(
            plan.inside(runner.current().hosts[host], *command),
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        said = done.stderr.strip() or done.stdout.strip()
    except subprocess.TimeoutExpired:
        said = f"no end after {limit:g} s"
    # Not every client tells by its exit status: the file does.
    intact = digest(sent) == digest(got) != ""
    return Transfer(intact, time.monotonic() - begin, (said.splitlines() or [""])[-1])
