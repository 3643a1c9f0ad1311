"""Real PPTP in a lab: pptpd and pptp-linux in hosts, with a stand-in where each runs pppd.

The client's side of PPP is here: numbered frames go into pptp, and come back
with the mark of `pppd_standin` if they have been at the server.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from p4alg.config.errors import UserError
from p4alg.lab import plan, runner, state
from peers import ppp_frames, pppd_standin

PORT = 1723
PROGRAMS = {"pptpd": "pptpd", "pptp": "pptp-linux"}
"""Each program, and the Debian package that has it."""
_START_SECONDS = 10.0
_STOP_SECONDS = 5.0
_WINDOW = 8
"""Frames under way at once: more may overrun the terminal between pptpd and its pppd."""
_PAYLOAD = 200

_CONFIG = """\
ppp {folder}/pppd
option {folder}/options
localip 192.168.99.1
remoteip 192.168.99.2-101
noipparam
"""
# pptpd wants a path that it can give pppd's arguments to, which are of no use here.
_PPPD = """\
#!/bin/sh
exec {python} -m peers.pppd_standin
"""
# The call manager and the program that asks it for calls meet in /run/pptp of
# whoever starts them: a /run of its own keeps clients apart, and goes with them.
_OWN_RUN = 'mount -t tmpfs lab /run && exec "$@"'


def missing() -> list[str]:
    """The Debian packages that would have to be installed."""
    return [pkg for program, pkg in PROGRAMS.items() if shutil.which(program) is None]


def require() -> None:
    """Raise `UserError` if a program is missing."""
    for package in missing():
        raise UserError(f"'{package}' is not installed: run 'make setup'")


def serve(host: str) -> None:
    """Start pptpd in a host of the lab that is up; its pppd echoes (`pppd_standin`)."""
    folder = state.directory() / f"pptp-{host}"
    folder.mkdir(exist_ok=True)
    (folder / "options").touch()
    config, pppd = folder / "pptpd.conf", folder / "pppd"
    config.write_text(_CONFIG.format(folder=folder), encoding="ascii")
    pppd.write_text(_PPPD.format(python=sys.executable), encoding="utf-8")
    os.chmod(pppd, 0o700)
    own = ["--fg", "--conf", str(config), "--pidfile", str(folder / "pptpd.pid")]
    process = runner.start(f"pptp-{host}", host, ["pptpd", *own])
    until = time.monotonic() + _START_SECONDS
    while not runner.listens(process.pid, PORT):
        if not process.alive() or time.monotonic() > until:
            raise UserError(f"pptpd does not start in {host}: see 'p4alg lab logs'")
        time.sleep(0.05)


def stop(host: str) -> None:
    """End the server of a host, and so its calls."""
    runner.stop(f"pptp-{host}")


@dataclass(frozen=True, slots=True)
class Exchange:
    """How many numbered frames a client sent, and how many came back, each counted once."""

    sent: int
    echoed: int


class Client:
    """pptp-linux in a host, with a call to a server; use as a context manager."""

    def __init__(self, host: str, server: str, address: str) -> None:
        """Call `server` from `host`, whose own address is `address`."""
        folder = state.directory() / f"pptp-client-{host}-{time.monotonic_ns()}"
        folder.mkdir()
        self.log: Path = folder / "log"
        """What the program says."""
        self._decoder = ppp_frames.Decoder()
        self._next = 0
        own = ["--nolaunchpppd", "--nohostroute", "--localbind", address, "--loglevel", "2"]
        command = ["sh", "-c", _OWN_RUN, "sh", "pptp", server, *own]
        self._line, far = socket.socketpair()
        with far, self.log.open("wb") as log:
            self._process = subprocess.Popen(
                plan.inside(runner.current().hosts[host], *command),
                stdin=far.fileno(),
                stdout=far.fileno(),
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self, limit: float) -> bool:
        """Wait until a frame makes it to the server and back; False after `limit` seconds."""
        until = time.monotonic() + limit
        while time.monotonic() < until and self._process.poll() is None:
            number = self._send()
            # The call is agreed on before the server's end of it listens.
            if number in self._receive(0.2):
                return True
        return False

    def exchange(self, count: int, limit: float) -> Exchange:
        """Send `count` numbered frames, a few at a time, and wait for their echoes."""
        until = time.monotonic() + limit
        waited: set[int] = set()
        sent = echoed = 0
        while time.monotonic() < until and echoed < count and self._process.poll() is None:
            while sent < count and len(waited) < _WINDOW:
                waited.add(self._send())
                sent += 1
            got = self._receive(0.1) & waited
            waited -= got
            echoed += len(got)
        return Exchange(sent, echoed)

    def close(self) -> None:
        """End the call as a user would, and the control connection with it."""
        self._process.terminate()
        self._line.close()
        # The call manager is a process of its own that clears the call, then goes.
        until = time.monotonic() + _STOP_SECONDS
        while self._lives() and time.monotonic() < until:
            time.sleep(0.05)
        if self._lives():
            self.kill()

    def kill(self) -> None:
        """End it at once, call manager and all, as a crash would: no message is sent."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._line.close()

    def _lives(self) -> bool:
        self._process.poll()
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _send(self) -> int:
        number, self._next = self._next, self._next + 1
        payload = number.to_bytes(4, "big") + bytes(i & 0xFF for i in range(_PAYLOAD))
        frame = ppp_frames.HEADER + pppd_standin.PROTOCOL + payload
        # If it has ended, no echo comes, which is what the caller looks at.
        with contextlib.suppress(OSError):
            self._line.sendall(ppp_frames.encode(frame))
        return number

    def _receive(self, limit: float) -> set[int]:
        """The numbers of the echoes that come, until `limit` is over or some have come."""
        start = ppp_frames.HEADER + pppd_standin.PROTOCOL + pppd_standin.MARK
        end = bytes(i & 0xFF for i in range(_PAYLOAD))
        until = time.monotonic() + limit
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._line], [], [], left)[0]:
                break
            try:
                data = self._line.recv(65536)
            except OSError:
                data = b""
            if not data:
                time.sleep(left)
                break
            frames = self._decoder.feed(data)
            numbers = {
                int.from_bytes(f[len(start) : -len(end)], "big")
                for f in frames
                if f.startswith(start) and f.endswith(end)
            }
            if numbers:
                return numbers
        return set()
