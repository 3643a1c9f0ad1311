"""Floods of 64-byte frames by trafgen, which sends several times as many as a kernel forwards.

Runs inside the host that sends. What arrived is counted by the receiver's interface:
a program that read every packet there would take processor time from the gateway.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

_DEVICE = "eth0"
_START_SECONDS = 5.0
_QUESTIONS = 5
# Room for 128 frames that are under way. With the default, more frames wait in the
# kernel than a socket may have, and trafgen ends when it is told so.
_RING = "256KiB"


def packets(counter: str) -> int:
    """Packets of our interface so far; `counter` is ``rx`` or ``tx``."""
    return int(_device(f"statistics/{counter}_packets"))


def run(
    receiver: socket.socket, upper: str, seconds: float, rate: int | None = None
) -> dict[str, float]:
    """Send a packet again and again for `seconds`; those offered and arrived, a second.

    `rate` is packets a second; None sends as many as go.

    `receiver` is connected to the other side's `traffic.rx_count`, and has been
    answered, so that the gateway is a known neighbour. `upper` is the packet from its
    IPv4 header on, in the language of trafgen(8).
    """
    gateway = _neighbour()
    command = ["trafgen", "--dev", _DEVICE, "--in", "-", "--cpus", "1", "--no-sock-mem"]
    head = f"eth(da={gateway}, sa={_device('address')}, type=0x800)"
    frame = f"{{ {head}, {upper} }}\n"
    before, idle = ask(receiver), packets("tx")
    # It sends from a child, which gets a signal only with the whole group.
    pace = [] if rate is None else ["--rate", f"{rate}pps"]
    child = subprocess.Popen(
        [*command, "--ring-size", _RING, "--no-cpu-stats", *pace],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert child.stdin is not None
    child.stdin.write(frame)
    child.stdin.close()
    try:
        until = time.monotonic() + _START_SECONDS
        while packets("tx") - idle < 64 and child.poll() is None:
            if time.monotonic() > until:
                raise SystemExit("trafgen sends nothing")
            time.sleep(0.005)
        begin, offered = time.monotonic(), packets("tx")
        time.sleep(seconds)
        took, offered = time.monotonic() - begin, packets("tx") - offered
        ended = child.poll()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGINT)
    assert child.stdout is not None
    said = child.stdout.read().strip()
    child.wait()
    if ended is not None:
        raise SystemExit((said.splitlines() or ["trafgen ended too early"])[-1])
    time.sleep(1.0)
    arrived = ask(receiver) - before
    return {"packets_per_second": arrived / took, "offered_per_second": offered / took}


def ask(receiver: socket.socket) -> int:
    """How many packets have come to the receiver's interface; asks again if need be."""
    for _ in range(_QUESTIONS):
        receiver.send(b"?")
        try:
            return int(receiver.recv(64))
        except TimeoutError:
            continue
    raise SystemExit("the receiver of the flood does not answer")


def _neighbour() -> str:
    """The link address of our gateway, which is the only neighbour there is."""
    rows = Path("/proc/net/arp").read_text(encoding="ascii").splitlines()[1:]
    return next(row.split()[3] for row in rows if row.split()[5] == _DEVICE)


def _device(item: str) -> str:
    return Path(f"/sys/class/net/{_DEVICE}/{item}").read_text(encoding="ascii").strip()
