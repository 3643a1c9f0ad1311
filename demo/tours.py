"""What the labs `cgnat`, `office`, `two-nats` and `tenants` show: transfers and calls, checked.

The servers are those of the topologies.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from demo.saying import say, verdict
from p4alg.daemon.client import Client
from p4alg.lab import plan, runner
from peers import rtp, sip

FTP_SIZE, TFTP_SIZE = 1_000_000, 100_000
"""What the servers of the topologies have to fetch, in bytes."""
SUBSCRIBERS = [f"sub{number}" for number in range(1, 9)]
SAME_PORT = 40100
RTP_PACKETS, MEDIA_SECONDS = 50, 3.0
_LIMIT = 15.0


class _Checks:
    """The checks of a tour, and how many of them failed."""

    def __init__(self) -> None:
        self.failed = 0

    def check(self, label: str, held: bool, good: str, said: str) -> None:
        """Tell how a check went."""
        self.failed += not verdict(label, held, good, said)

    def fetch(self, label: str, host: str, size: int, *curl: str) -> None:
        """Fetch `size` bytes with curl in a host; 0 if that must fail."""
        got, said = _fetch(host, *curl, limit=_LIMIT if size else 3.0)
        good = f"{got // 1000} KB" if size else "refused, as it must be"
        self.check(label, got == size, good, f"{got} of {size} bytes; {said}")

    def call(self, caller: str, callee: str, proxy: str = "") -> None:
        """A call of two phones, by a proxy or straight, with media counted at both ends."""
        begin = time.monotonic()
        remote = proxy or sip.address(callee)
        with (
            sip.phone(callee, "callee") as there,
            sip.phone(caller, "caller", remote, service="bob", hold=MEDIA_SECONDS) as here,
            rtp.Endpoint(caller, sip.address(caller), sip.AUDIO) as at_caller,
            rtp.Endpoint(callee, sip.address(callee), sip.AUDIO) as at_callee,
        ):
            (to_callee,) = here.message(False, "SIP/2.0 200", "INVITE").targets()
            (to_caller,) = there.message(False, "INVITE", "INVITE").targets()
            flows = (
                rtp.Flow(at_callee, to_caller, at_caller),
                rtp.Flow(at_caller, to_callee, at_callee),
            )
            counts = rtp.exchange(flows, RTP_PACKETS)
            ended = here.wait(20.0)
        heard = all(count.complete for count in counts)
        got = "/".join(str(count.received) for count in counts)
        good = f"{RTP_PACKETS} RTP packets heard each way, {time.monotonic() - begin:.2f} s"
        self.check("sipp", ended.good and heard, good, ended.said or f"heard {got}")


def _fetch(host: str, *curl: str, limit: float = _LIMIT) -> tuple[int, str]:
    """How many bytes curl in a host has got, and what it has to say."""
    options = ("-sS", "--max-time", f"{limit:g}", "-o", "/dev/null", "-w", "%{size_download}")
    done = subprocess.run(
        plan.inside(runner.current().hosts[host], "curl", *options, *curl),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    size = int(done.stdout or 0) if done.returncode == 0 else 0
    return size, (done.stderr.strip().splitlines() or [""])[-1]


def _cgnat() -> int:
    checks = _Checks()
    say("")
    say(f"FTP PORT of eight subscribers at once, all from port {SAME_PORT}")
    # curl takes the first port of these that is free: for all of them it is the same.
    curl = ("--local-port", f"{SAME_PORT}-{SAME_PORT + 9}", "-P", "-", "ftp://outside1/file.bin")

    def fetch(host: str) -> tuple[int, str]:
        return _fetch(host, *curl)

    with ThreadPoolExecutor(len(SUBSCRIBERS)) as pool:
        results = dict(zip(SUBSCRIBERS, pool.map(fetch, SUBSCRIBERS), strict=True))
    for host, (got, said) in results.items():
        checks.check(host, got == FTP_SIZE, f"{got // 1000} KB", said)
    socket = runner.control_socket()
    assert socket is not None
    rows = Client(socket).call("show", what="subscribers")
    used = sorted({row["outside"] for row in rows})
    held = len(rows) == len(SUBSCRIBERS) and len(used) <= 2
    checks.check("outside addresses", held, " ".join(used), str(rows))
    say("")
    say("SIP, a subscriber calls: sub1 -> outside2")
    checks.call("sub1", "outside2")
    return checks.failed


def _office() -> int:
    checks = _Checks()
    say("")
    say("The servers in the DMZ, from outside by their public names")
    ftp = "ftp://ftp.office.example/file.bin"
    checks.fetch("FTP PORT", "outside1", FTP_SIZE, "-P", "-", ftp)
    checks.fetch("FTP EPSV", "outside1", FTP_SIZE, ftp)
    tls = ("-k", "--ssl-reqd", "ftp://ftps.office.example/file.bin")
    checks.fetch("FTPS", "outside1", FTP_SIZE, *tls)
    tftp = "tftp://tftp.office.example/boot.img"
    checks.fetch("TFTP", "outside1", TFTP_SIZE, tftp)
    checks.fetch("TFTP, rule denies", "outside2", 0, tftp)
    say("")
    say("A PC, untranslated into the DMZ, translated outside")
    checks.fetch("FTP PORT to DMZ", "pc1", FTP_SIZE, "-P", "-", "ftp://ftp/file.bin")
    web, said = _fetch("pc1", "http://outside1/")
    checks.check("HTTP outside", web > 0, f"{web} bytes", said)
    say("")
    say("SIP by the proxy in the DMZ: outside1 calls outside2")
    proxy = "203.0.113.6"
    with sip.phone("outside2", "register", proxy, own="bob") as phone:
        registered = phone.wait(10.0)
    checks.check("sipp registers", registered.good, "registered", registered.said)
    checks.call("outside1", "outside2", proxy)
    return checks.failed


def _two_nats() -> int:
    checks = _Checks()
    say("")
    say("FTP through two translations: inside1 -> outside1")
    checks.fetch("FTP PORT", "inside1", FTP_SIZE, "-P", "-", "ftp://outside1/file.bin")
    checks.fetch("FTP EPSV", "inside2", FTP_SIZE, "ftp://outside1/file.bin")
    sockets = runner.control_sockets()
    for switch in ("home", "carrier"):
        counters = Client(sockets[switch]).call("show", what="counters")
        rewritten = int(counters.get("alg.ftp.client.rewritten", 0))
        checks.check(switch, rewritten > 0, f"{rewritten} commands rewritten", "none rewritten")
    say("")
    say("FTP through one: neighbour -> outside1")
    checks.fetch("FTP PORT", "neighbour", FTP_SIZE, "-P", "-", "ftp://outside1/file.bin")
    say("")
    say("SIP through two: inside1 calls outside2")
    checks.call("inside1", "outside2")
    return checks.failed


def _tenants() -> int:
    checks = _Checks()
    odd = "ftp://outside1:2121/file.bin"
    say("")
    say("FTP PORT of two hosts with the same address, each to the port that its ALG is on")
    checks.fetch("red, port 21", "red1", FTP_SIZE, "-P", "-", "ftp://outside1/file.bin")
    checks.fetch("blue, port 2121", "blue1", FTP_SIZE, "-P", "-", odd)
    say("")
    say("To the port of the other, where no ALG reads the command")
    checks.fetch("red, port 2121", "red1", 0, "-P", "-", odd)
    checks.fetch("blue, port 21", "blue1", 0, "-P", "-", "ftp://outside1/file.bin")
    socket = runner.control_socket()
    assert socket is not None
    rows = Client(socket).call("show", what="subscribers")
    seen = {row["organisation"]: row["outside"] for row in rows if row["address"] == "10.0.0.11"}
    held = len(seen) == len(set(seen.values())) == 2
    checks.check("10.0.0.11 outside", held, " ".join(map(str, seen.values())), str(rows))
    say("")
    say("SIP: blue calls outside2")
    checks.call("blue2", "outside2")
    return checks.failed


TOURS: dict[str, Callable[[], int]] = {
    "cgnat": _cgnat,
    "office": _office,
    "two-nats": _two_nats,
    "tenants": _tenants,
}
"""The tour of each topology but `nat`; a tour gives how many of its checks failed."""
