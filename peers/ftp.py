"""Real FTP in a lab: vsftpd in a host, curl and lftp against it.

Configuration and files live in the lab's own directory and go with it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from p4alg.config.errors import UserError
from p4alg.lab import plan, runner, state

MODES = ("PORT", "EPRT", "PASV", "EPSV")
FILE = "file.bin"
_UPLOADS = "in"
_CURL = {
    "PORT": ["--ftp-port", "-", "--disable-eprt"],
    "EPRT": ["--ftp-port", "-"],
    "PASV": ["--disable-epsv"],
    "EPSV": [],
}
_LFTP = {
    "PORT": "set ftp:passive-mode off;",
    "PASV": "set ftp:passive-mode on; set ftp:prefer-epsv no;",
    "EPSV": "set ftp:passive-mode on; set ftp:prefer-epsv yes;",
}
"""lftp has EPRT for IPv6 only."""
_START_SECONDS = 10.0

_CONFIG = """\
listen=YES
background=NO
listen_port={port}
anonymous_enable=YES
no_anon_password=YES
local_enable=NO
anon_root={folder}/files
ftp_username={user}
write_enable=YES
anon_upload_enable=YES
anon_other_write_enable=YES
connect_from_port_20=YES
secure_chroot_dir={folder}/empty
seccomp_sandbox=NO
xferlog_enable=NO
"""


@dataclass(frozen=True, slots=True)
class Server:
    """An FTP server in a host of the lab."""

    host: str
    folder: Path

    @property
    def file(self) -> Path:
        """The file that is there to be fetched."""
        return self.folder / "files" / FILE

    def uploaded(self, name: str) -> Path:
        """Where a file sent to the server ends up."""
        return self.folder / "files" / _UPLOADS / name


@dataclass(frozen=True, slots=True)
class Transfer:
    """How a client fared: whether the bytes agree, how long it took, and what it said."""

    intact: bool
    seconds: float
    said: str


def require() -> None:
    """Raise `UserError` if a program is missing."""
    for program in ("vsftpd", "curl", "lftp"):
        if shutil.which(program) is None:
            raise UserError(f"'{program}' is not on PATH: install {program}")


def serve(host: str, size: int, port: int = 21, more: str = "", rate: int = 0) -> Server:
    """Start vsftpd in a host of the lab that is up, with a file of `size` random bytes.

    `more` is appended to its configuration (vsftpd.conf(5)). With `rate` it sends so many bytes a
    second; a client's own limit would not do, since curl reads at once what is there at once.
    """
    more += f"anon_max_rate={rate}\n" if rate else ""
    folder = state.directory() / f"ftp-{host}-{port}"
    for part in ("files/in", "empty"):
        (folder / part).mkdir(parents=True)
    user = "ftp"
    shutil.chown(folder / "files" / _UPLOADS, user)
    server = Server(host, folder)
    server.file.write_bytes(os.urandom(size))
    config = folder / "vsftpd.conf"
    config.write_text(_CONFIG.format(folder=folder, user=user, port=port) + more, encoding="ascii")
    os.chmod(config, 0o600)
    name = f"ftp-{host}-{port}"
    process = runner.start(name, host, ["vsftpd", str(config)])
    until = time.monotonic() + _START_SECONDS
    while not runner.listens(process.pid, port):
        if not process.alive() or time.monotonic() > until:
            raise UserError(f"vsftpd does not start in {host}: see 'p4alg lab logs'")
        time.sleep(0.05)
    return server


def fetch(client: str, host: str, server: Server, url: str, mode: str, limit: float) -> Transfer:
    """Download with ``curl`` or ``lftp`` running in `host`; `limit` in seconds."""
    target = state.directory() / f"got-{host}"
    target.unlink(missing_ok=True)
    if client == "curl":
        command = [*_curl(mode, limit), "-o", str(target), f"{url}/{FILE}"]
    else:
        command = _lftp(mode, url, f"get {FILE} -o {target}")
    return _run(host, command, server.file, target, limit)


def send(client: str, host: str, server: Server, url: str, mode: str, limit: float) -> Transfer:
    """Upload the server's own file back to it under another name; `limit` in seconds."""
    name = f"{client}-{host}-{mode}"
    target = server.uploaded(name)
    target.unlink(missing_ok=True)
    if client == "curl":
        command = [*_curl(mode, limit), "-T", str(server.file), f"{url}/{_UPLOADS}/{name}"]
    else:
        command = _lftp(mode, url, f"put {server.file} -o {_UPLOADS}/{name}")
    return _run(host, command, server.file, target, limit)


def digest(path: Path) -> str:
    """SHA-256 of a file; empty if there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _curl(mode: str, limit: float) -> list[str]:
    return ["curl", "-sS", "--max-time", f"{limit:g}", *_CURL[mode]]


def _lftp(mode: str, url: str, command: str) -> list[str]:
    once = "set net:max-retries 1; set net:timeout 5; set ftp:sync-mode on; set xfer:clobber on;"
    return ["lftp", "-c", f"{once} {_LFTP[mode]} open {url}; {command}"]


def _run(host: str, command: list[str], sent: Path, got: Path, limit: float) -> Transfer:
    lab = runner.current()
    begin = time.monotonic()
    try:
        done = subprocess.run(
            plan.inside(lab.hosts[host], *command),
            capture_output=True,
            text=True,
            timeout=limit + 5,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        said, status = done.stderr.strip(), done.returncode
    except subprocess.TimeoutExpired:
        said, status = f"no end after {limit:g} s", 1
    took = time.monotonic() - begin
    intact = status == 0 and digest(sent) == digest(got) != ""
    return Transfer(intact, took, (said.splitlines() or [""])[-1])
