"""Real IPsec in a lab: strongSwan in hosts, and files fetched through its tunnels.

ESP is done by the daemon itself on a TUN device, as not every kernel has it. It
always travels in UDP (RFC 3948); plain ESP is `esp_peer`'s. Whatever a daemon
reads and writes is in the lab's own directory and goes with it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p4alg.config.errors import UserError
from p4alg.lab import plan, runner, state
from peers.ftp import Transfer, digest

FILE = "file.bin"
DAEMON = "charon-systemd"
"""Unlike plain charon it has no pid file outside the lab, and needs no systemd."""
PORT, NATT_PORT = 500, 4500
_START_SECONDS = 10.0
_COMMAND_SECONDS = 30.0
_SECRET = "a secret of the lab"

# Retransmits end after 6 s instead of 165: a dead peer is to be seen in a test.
_DAEMON = """\
{daemon} {{
  load = random nonce openssl kdf kernel-libipsec kernel-netlink socket-default vici
  plugins {{
    vici {{
      socket = {uri}
    }}
  }}
  filelog {{
    log {{
      path = {folder}/charon.log
      flush_line = yes
    }}
  }}
  journal {{
    default = -1
  }}
  keep_alive = {keepalive}
  retransmit_timeout = 1.0
  retransmit_base = 1.3
  retransmit_tries = 3
}}
swanctl {{
  load = random openssl
}}
"""
_CONNECTION = """\
  {name} {{
    version = {version}
    remote_addrs = {remote}
    proposals = aes128-sha256-ecp256
    dpd_delay = {dpd}s
    dpd_timeout = 6s
    local {{
      auth = psk
      id = {identity}
    }}
    remote {{
      auth = psk
    }}
    children {{
      {name} {{
        local_ts = {local_ts}
        remote_ts = {remote_ts}
        esp_proposals = aes128-sha256
      }}
    }}
  }}
"""
_SECRETS = 'secrets {{\n  ike-lab {{\n    secret = "{secret}"\n  }}\n}}\n'

# Not `python -m http.server`, which asks DNS for the name of its host first.
_SERVE = """\
import functools, http.server, socketserver, sys, time
from urllib.parse import parse_qs, urlsplit

class Handler(http.server.SimpleHTTPRequestHandler):
    def copyfile(self, source, outputfile):
        asked = parse_qs(urlsplit(self.path).query)
        rate = int(asked.get("rate", ["0"])[0])
        while piece := source.read(8192):
            outputfile.write(piece)
            time.sleep(len(piece) / rate if rate else 0)

address, folder = sys.argv[1:]
handler = functools.partial(Handler, directory=folder)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer.daemon_threads = True
socketserver.ThreadingTCPServer((address, 80), handler).serve_forever()
"""


@dataclass(frozen=True, slots=True)
class Connection:
    """A tunnel to ask `remote` for, or to wait for if that is ``%any``.

    `version` is of IKE, 0 for either; version 1 uses main mode. `local` and
    `network` are the traffic selectors, ours and theirs. `dpd` is after how many
    seconds of silence the peer is asked whether it lives, 0 for never.
    """

    name: str
    local: str
    network: str
    remote: str = "%any"
    version: int = 0
    dpd: int = 0


@dataclass(frozen=True, slots=True)
class Child:
    """A pair of ESP SAs; SPIs are hexadecimal."""

    state: str
    spi_in: str
    spi_out: str
    is_in_udp: bool


@dataclass(frozen=True, slots=True)
class Association:
    """An IKE SA as its end sees it; SPIs are hexadecimal."""

    name: str
    version: int
    state: str
    local_port: int
    remote_addr: str
    remote_port: int
    initiator_spi: str
    children: tuple[Child, ...]

    def installed(self) -> Child | None:
        """The newest pair of SAs that is in use, if any."""
        return next((c for c in reversed(self.children) if c.state == "INSTALLED"), None)


@dataclass(frozen=True, slots=True)
class Said:
    """How a command fared."""

    is_done: bool
    text: str


class Daemon:
    """strongSwan in a host of the lab that is up, with an address behind its tunnels.

    `keepalive` is how many seconds pass between its NAT keepalives, 0 for none.
    """

    def __init__(self, host: str, address: str, keepalive: int = 20) -> None:
        self.host, self.address = host, address
        self._folder = state.directory() / f"ike-{host}"
        self._folder.mkdir(exist_ok=True)
        self._name = f"ike-{host}"
        self._vici = self._folder / "vici"
        self._uri = f"unix://{self._vici}"
        settings = _DAEMON.format(
            daemon=DAEMON, uri=self._uri, folder=self._folder, keepalive=keepalive
        )
        (self._folder / "strongswan.conf").write_text(settings, encoding="ascii")
        self._environment = {
            **os.environ,
            "STRONGSWAN_CONF": str(self._folder / "strongswan.conf"),
            "SWANCTL_DIR": str(self._folder),
        }
        space = runner.current().hosts[host]
        added = ["ip", "-n", space, "addr", "replace", f"{address}/32", "dev", "lo"]
        subprocess.run(added, check=True, capture_output=True)
        self._process = self._start()

    def load(self, *connections: Connection) -> None:
        """Replace what the daemon may connect; `UserError` if it refuses that."""
        told = "".join(
            _CONNECTION.format(
                name=each.name,
                version=each.version,
                remote=each.remote,
                dpd=each.dpd,
                identity=self.host,
                local_ts=each.local,
                remote_ts=each.network,
            )
            for each in connections
        )
        path = self._folder / "swanctl.conf"
        text = f"connections {{\n{told}}}\n{_SECRETS.format(secret=_SECRET)}"
        path.write_text(text, encoding="ascii")
        os.chmod(path, 0o600)
        said = self._ask("--load-all", "--file", str(path))
        if not said.is_done:
            raise UserError(f"strongSwan in {self.host} refuses its connections: {said.text}")

    def initiate(self, name: str) -> Said:
        """Bring a tunnel up, and wait until it is or has failed."""
        return self._ask("--initiate", "--child", name)

    def rekey_child(self, name: str) -> Said:
        """Ask for new ESP SAs; returns before they are there."""
        return self._ask("--rekey", "--child", name)

    def rekey_ike(self, name: str) -> Said:
        """Ask for a new IKE SA; returns before it is there."""
        return self._ask("--rekey", "--ike", name)

    def associations(self) -> list[Association]:
        """The IKE SAs, in no order that means anything."""
        return read_associations(self._ask("--list-sas", "--raw").text)

    def log(self) -> str:
        """What the daemon has logged since it was started."""
        return (self._folder / "charon.log").read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """End the daemon without a word to its peers."""
        os.kill(self._process.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """End the daemon, if it still runs; it tells its peers."""
        runner.stop(self._name)

    def _start(self) -> state.Process:
        # One that was killed leaves its socket behind, which is no sign of life.
        self._vici.unlink(missing_ok=True)
        (self._folder / "charon.log").unlink(missing_ok=True)
        process = runner.start(self._name, self.host, [DAEMON], self._environment)
        until = time.monotonic() + _START_SECONDS
        while not (self._vici.exists() and runner.listens(process.pid, PORT, proto="udp")):
            if not process.alive() or time.monotonic() > until:
                raise UserError(f"strongSwan does not start in {self.host}: see 'p4alg lab logs'")
            time.sleep(0.05)
        return process

    def _ask(self, *command: str) -> Said:
        asked = ["swanctl", *command, "--uri", self._uri]
        try:
            done = subprocess.run(
                plan.inside(runner.current().hosts[self.host], *asked),
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=_COMMAND_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return Said(False, f"no end after {_COMMAND_SECONDS:g} s")
        # On stderr it complains of each folder of certificates that is not there.
        return Said(done.returncode == 0, done.stdout.strip())


def read_associations(text: str) -> list[Association]:
    """Read what ``swanctl --list-sas --raw`` prints; what it is not is an empty list."""
    found: list[Association] = []
    for line in text.splitlines():
        event, _, rest = line.partition(" event ")
        if event == "list-sa":
            section, _ = _section(_WORDS.findall(rest), 1)
            found += [_association(name, values) for name, values in section.items()]
    return found


_WORDS = re.compile(r"[{}]|[^\s={}]+=\[[^\]]*\]|[^\s={}]+=[^\s{}]*|[^\s={}]+")


def _section(words: list[str], at: int) -> tuple[dict[str, Any], int]:
    """The section that begins behind the brace before `at`, and where it ends."""
    values: dict[str, Any] = {}
    while at < len(words) and words[at] != "}":
        name, _, value = words[at].partition("=")
        if at + 1 < len(words) and words[at + 1] == "{":
            values[name], at = _section(words, at + 2)
        else:
            values[name] = value
        at += 1
    return values, at


def _association(name: str, values: dict[str, Any]) -> Association:
    children = sorted(values["child-sas"].values(), key=lambda child: int(child["uniqueid"]))
    return Association(
        name=name,
        version=int(values["version"]),
        state=values["state"],
        local_port=int(values["local-port"]),
        remote_addr=values["remote-host"],
        remote_port=int(values["remote-port"]),
        initiator_spi=values["initiator-spi"],
        children=tuple(
            Child(c["state"], c["spi-in"], c["spi-out"], c.get("encap") == "yes") for c in children
        ),
    )


def serve(host: str, address: str, size: int) -> Path:
    """Serve a file of `size` random bytes by HTTP on an address of a host; its path."""
    folder = state.directory() / f"ike-files-{host}"
    folder.mkdir(exist_ok=True)
    file = folder / FILE
    file.write_bytes(os.urandom(size))
    command = [sys.executable, "-c", _SERVE, address, str(folder)]
    process = runner.start(f"ike-files-{host}", host, command)
    until = time.monotonic() + _START_SECONDS
    while not runner.listens(process.pid, 80):
        if not process.alive() or time.monotonic() > until:
            raise UserError(f"the HTTP server does not start in {host}: see 'p4alg lab logs'")
        time.sleep(0.05)
    return file


def fetch(host: str, address: str, file: Path, limit: float, rate: int = 0) -> Transfer:
    """Download the file that is served on `address`; `rate` in bytes a second, 0 for any.

    The server keeps to it, since curl reads at once what is there at once.
    """
    got = state.directory() / f"ike-got-{host}-{time.monotonic_ns()}"
    command = ["curl", "-sS", "--max-time", f"{limit:g}", "-o", str(got)]
    asked = f"?rate={rate}" if rate else ""
    begin = time.monotonic()
    done = subprocess.run(
        plan.inside(runner.current().hosts[host], *command, f"http://{address}/{FILE}{asked}"),
        capture_output=True,
        text=True,
        timeout=limit + 5,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    intact = done.returncode == 0 and digest(got) == digest(file) != ""
    said = (done.stderr.strip().splitlines() or [""])[-1]
    return Transfer(intact, time.monotonic() - begin, said)
