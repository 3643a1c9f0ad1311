"""proftpd in a lab, and a client that aborts transfers as RFC 959 section 4.1.3 says.

The abort is sent as urgent data. For proftpd its last byte, the line feed, is then no part of
the stream, so that it reads ABOR and the command behind it as one line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from p4alg.config.errors import UserError
from p4alg.lab import plan, runner, state
from peers.ftp import FILE, Server

_UNPACKED = Path(sys.prefix) / "debian"
"""Where `make setup` unpacks proftpd, which cannot be installed beside vsftpd."""
_LIBRARIES = _UNPACKED / "usr" / "lib" / "x86_64-linux-gnu"
_START_SECONDS = 10.0
_CONFIG = """\
ServerType standalone
Port 21
DefaultAddress {address}
DefaultServer on
UseIPv6 off
User nobody
Group nogroup
RequireValidShell off
UseReverseDNS off
WtmpLog off
AllowForeignAddress off
PidFile {folder}/pid
ScoreboardFile {folder}/scoreboard
DelayTable none
<Anonymous {folder}/files>
  User ftp
  Group nogroup
  UserAlias anonymous ftp
</Anonymous>
"""

ABORTING = r'''
import re, socket, sys, time

host, signals = sys.argv[1], sys.argv[2] == "telnet"
control = socket.create_connection((host, 21), 10)
said = b""

def until(pattern, seconds=5.0):
    """Read replies until one matches; the match, or None."""
    global said
    end = time.monotonic() + seconds
    while True:
        found = re.search(pattern, said)
        if found:
            said = said[found.end():]
            return found
        control.settimeout(max(0.01, end - time.monotonic()))
        try:
            part = control.recv(4096)
        except TimeoutError:
            return None
        if not part:
            sys.exit("the connection was closed")
        said += part

def passive():
    found = until(rb"227 [^\r\n]*\((\d+),(\d+),(\d+),(\d+),(\d+),(\d+)\)[^\r\n]*\r\n", 2.0)
    if found is None:
        return None
    numbers = [int(part) for part in found.groups()]
    address = ".".join(str(part) for part in numbers[:4])
    return socket.create_connection((address, numbers[4] * 256 + numbers[5]), 10)

until(rb"220[^\r\n]*\r\n")
control.sendall(b"USER anonymous\r\n")
until(rb"331[^\r\n]*\r\n")
control.sendall(b"PASS a@b\r\n")
until(rb"230[^\r\n]*\r\n")
control.sendall(b"TYPE I\r\n")
until(rb"200[^\r\n]*\r\n")
for turn in range(3):
    data = None
    for attempt in range(3):
        control.sendall(b"PASV\r\n")
        data = passive()
        if data is not None:
            break
    if data is None:
        sys.exit("no answer to PASV")
    control.sendall(b"RETR file.bin\r\n")
    until(rb"150[^\r\n]*\r\n")
    data.recv(1000)
    if signals:
        control.send(b"\xff\xf4\xff", socket.MSG_OOB)
        control.sendall(b"\xf2ABOR\r\n")
    else:
        control.send(b"ABOR\r\n", socket.MSG_OOB)
    data.close()
control.sendall(b"NOOP\r\n")
time.sleep(0.5)
control.sendall(b"PASV\r\n")
data = passive() or (control.sendall(b"PASV\r\n"), passive())[1]
if data is None:
    sys.exit("no answer to the last PASV")
control.sendall(b"RETR file.bin\r\n")
size = 0
while part := data.recv(65536):
    size += len(part)
print(size)
'''
"""Aborts three transfers on one control connection, then fetches the file; prints its size."""


def require() -> None:
    """Raise `UserError` if proftpd is missing."""
    if not (_UNPACKED / "usr" / "sbin" / "proftpd").is_file():
        raise UserError("proftpd is not there: run 'make setup'")


def serve(host: str, address: str, size: int) -> Server:
    """Start proftpd in a host of the lab that is up, with a file of `size` random bytes.

    `address` is the host's own. Hosts of a lab do not know the machine's name, by which proftpd
    would look for it.
    """
    folder = state.directory() / f"proftpd-{host}"
    (folder / "files").mkdir(parents=True)
    server = Server(host, folder)
    server.file.write_bytes(os.urandom(size))
    for path in (folder, folder / "files", server.file):
        os.chmod(path, 0o755)
    config = folder / "proftpd.conf"
    config.write_text(_CONFIG.format(folder=folder, address=address), encoding="ascii")
    command = [str(_UNPACKED / "usr" / "sbin" / "proftpd"), "-n", "-c", str(config)]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(_LIBRARIES)}
    process = runner.start(f"proftpd-{host}", host, command, environment)
    until = time.monotonic() + _START_SECONDS
    while not runner.listens(process.pid, 21):
        if not process.alive() or time.monotonic() > until:
            raise UserError(f"proftpd does not start in {host}: see 'p4alg lab logs'")
        time.sleep(0.05)
    return server


def abort_and_fetch(host: str, address: str, *, signals: bool) -> tuple[int, str]:
    """Run `ABORTING` in a host; the bytes that it fetched in the end (-1: none), and what it said.

    With `signals` the urgent data are Telnet's Interrupt Process and Data Mark.
    """
    python = shutil.which("python3") or sys.executable
    command = [python, "-c", ABORTING, address, "telnet" if signals else "plain"]
    done = subprocess.run(
        plan.inside(runner.current().hosts[host], *command),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return (int(done.stdout) if done.returncode == 0 else -1), done.stderr


__all__ = ["FILE", "abort_and_fetch", "require", "serve"]
