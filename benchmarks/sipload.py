"""Calls by sipp through a lab, with a little media each: how many a second, and how many fail."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from p4alg.config.errors import UserError
from p4alg.lab import plan, runner, state
from peers import sip

SCENARIOS = Path(sip.__file__).with_name("sip_scenarios")
PACKETS = 10
"""RTP packets of each call, each way."""
_ECHO = 6000
_PAYLOAD = 160
_PLAY = '<nop><action><exec play_pcap_audio="{file}"/></action></nop>\n  <pause/>'


@dataclass(frozen=True, slots=True)
class Load:
    """How a run went: calls that were good and bad, seconds it took, RTP packets heard back.

    `cpu` is the seconds of processor time the controller took, `held` its memory in
    bytes before the calls and while all of them were held (0 without controller).
    """

    good: int
    bad: int
    seconds: float
    heard: int
    cpu: float
    held: tuple[int, int]


def run(rate: int, total: int, hold: float, *, media: bool, limit: float = 120.0) -> Load:
    """Set up `total` calls at `rate` a second, each held for `hold` seconds."""
    folder = state.directory() / f"sipload-{time.monotonic_ns()}"
    folder.mkdir()
    caller = (SCENARIOS / "caller.xml").read_text().replace("[audio]", "[auto_media_port]")
    if media:
        pcap = folder / "audio.pcap"
        pcap.write_bytes(_pcap())
        caller = caller.replace("<pause/>", _PLAY.format(file=pcap), 1)
    (folder / "caller.xml").write_text(caller)
    before, memory, heard = cpu_of_controller(), memory_of_controller(), _no_ports()
    callee = _sipp(folder, "outside1", SCENARIOS / "callee.xml", "-rtp_echo", "-mp", str(_ECHO))
    time.sleep(1.0)
    begin = time.monotonic()
    asked = ["-r", str(rate), "-m", str(total), "-l", str(total), "-d", str(int(hold * 1000))]
    statistics = folder / "caller.csv"
    asked += ["-mp", "10000", "-trace_stat", "-stf", str(statistics), "-fd", "1"]
    calling = _sipp(folder, "inside1", folder / "caller.xml", sip.address("outside1"), *asked)
    most = memory
    try:
        while calling.poll() is None:
            if time.monotonic() - begin > limit:
                raise UserError(f"sipp does not end within {limit:g} s")
            time.sleep(0.2)
            most = max(most, memory_of_controller())
    finally:
        for process in (calling, callee):
            process.terminate()
            process.wait(5)
    seconds = time.monotonic() - begin
    names, *rows = statistics.read_text().splitlines()
    last = dict(zip(names.split(";"), rows[-1].split(";"), strict=False))
    good, bad = int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"])
    cpu = cpu_of_controller() - before
    return Load(good, bad, seconds, _no_ports() - heard, cpu, (memory, most))


def cpu_of_controller() -> float:
    """Seconds of processor time the lab's controller has taken; 0 if there is none."""
    pid = _controller()
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of_controller() -> int:
    """Bytes of memory the lab's controller has; 0 if there is none."""
    pid = _controller()
    if not pid:
        return 0
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _controller() -> int:
    lab = runner.current()
    return next((p.pid for p in lab.processes if p.name == runner.CONTROLLER), 0)


def _sipp(folder: Path, host: str, scenario: Path, *more: str) -> subprocess.Popen[bytes]:
    at = sip.address(host)
    own = ["-i", at, "-p", "5060", "-t", "u1", "-s", "bench", "-nostdin", "-key", "own", "bench"]
    keys = ["-key", "domain", sip.address("outside1"), "-key", "audio", str(_ECHO)]
    return subprocess.Popen(
        plan.inside(runner.current().hosts[host], "sipp", *more, "-sf", str(scenario), *own, *keys),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )


def _no_ports() -> int:
    """UDP packets that came to the caller's host where nobody listens: media played back."""
    shown = subprocess.run(
        plan.inside(runner.current().hosts["inside1"], "cat", "/proc/net/snmp"),
        capture_output=True,
        text=True,
        check=True,
    )
    names, values = (line.split() for line in shown.stdout.splitlines() if line.startswith("Udp:"))
    return int(values[names.index("NoPorts")])


def _pcap() -> bytes:
    """A capture of RTP, a packet every 20 ms, as sipp plays it: Ethernet, IPv4, UDP."""
    out = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    for number in range(PACKETS):
        rtp = struct.pack("!BBHII", 0x80, 0, number, number * _PAYLOAD, 1) + bytes(_PAYLOAD)
        udp = struct.pack("!HHHH", 10000, 6000, 8 + len(rtp), 0) + rtp
        head = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, 1, 2)
        frame = bytes(12) + b"\x08\x00" + head + udp
        out += struct.pack("<IIII", 0, number * 20000, len(frame), len(frame)) + frame
    return bytes(out)
