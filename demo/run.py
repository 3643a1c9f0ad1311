"""`make demo`, `make mininet TEST=1`: real clients and servers on both sides of the gateway.

Shows for each way to transfer by FTP what was announced, what it was rewritten to
and which pinhole opened, and that active mode fails without the ALG; then one
session of each other protocol. That is in the lab `nat`; what it shows in other labs
is in `demo/tours.py`. Exit status 0 only if all of it held. Everything is built for
the demo and removed after it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# A lab of its own, so that one that is up is left alone.
os.environ["P4ALG_LAB_STATE"] = "/run/p4alg/demo"
os.environ["P4ALG_LAB_PREFIX"] = "p4algdemo-"
os.environ.pop("P4ALG_SOCKET", None)

from demo import tours  # noqa: E402
from demo.saying import done, say, step, verdict  # noqa: E402
from p4alg.config.errors import UserError  # noqa: E402
from p4alg.daemon.client import Client  # noqa: E402
from p4alg.lab import plan, runner, topology  # noqa: E402
from peers import ftp, ike, pptp, rtp, sip, tftp  # noqa: E402

SIZE = 5_000_000
TFTP_SIZE = 500_000
LIMIT = 60.0
INSIDE, OUTSIDE = "inside1", "outside1"
SERVER_OUTSIDE = "ftp://198.51.100.11"
SERVER, INSIDE_ADDR = "198.51.100.11", "10.0.0.11"
BEHIND_INSIDE, BEHIND_OUTSIDE = "172.16.1.1", "172.16.2.1"
FRAMES, IKE_SIZE = 200, 500_000
RTP_PACKETS, MEDIA_SECONDS = 100, 4.0
SERVER_INSIDE = "ftp://203.0.113.5"


class Watcher:
    """Collects trace records in the background."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._records: list[dict[str, Any]] = []
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        try:
            for record in self._client.trace():
                self._records.append(record)
        except (UserError, ValueError):
            return

    def take(self, everything: bool = False) -> list[dict[str, Any]]:
        """The announcements seen since the last call, or all messages."""
        time.sleep(0.1)
        records, self._records = self._records, []
        return [record for record in records if everything or record["pinholes"]]


class Demo:
    """The story of the lab `nat`, and whether all of it held."""

    def __init__(self) -> None:
        self._failed = 0

    def run(self) -> int:
        """Tell the whole of it; how many checks failed."""
        step(f"starting vsftpd in {OUTSIDE} and in {INSIDE}")
        outside = ftp.serve(OUTSIDE, SIZE)
        inside = ftp.serve(INSIDE, SIZE)
        done()
        socket = runner.control_socket()
        assert socket is not None
        client = Client(socket)
        watcher = Watcher(client)
        time.sleep(0.2)
        say("")
        say("FTP, client inside, server outside: inside1 -> 198.51.100.11")
        for mode in ftp.MODES:
            self._transfers(watcher, INSIDE, outside, SERVER_OUTSIDE, mode)
        say("")
        say("FTP, server inside, static mapping: outside1 -> 203.0.113.5 = inside1")
        for mode in ftp.MODES:
            self._transfers(watcher, OUTSIDE, inside, SERVER_INSIDE, mode)
        say("")
        say("FTP without the ALG")
        client.call("disable", name="ftp")
        off = ftp.fetch("curl", INSIDE, outside, SERVER_OUTSIDE, "PORT", 10.0)
        self._verdict("PORT, ALG off", not off.intact, "fails, as it must", off.said)
        client.call("enable", name="ftp")
        on = ftp.fetch("curl", INSIDE, outside, SERVER_OUTSIDE, "PORT", LIMIT)
        self._verdict("PORT, ALG on again", on.intact, f"works, {on.seconds:.2f} s", on.said)
        say("")
        self._tftp(watcher)
        say("")
        self._sip(watcher)
        say("")
        self._pptp(watcher)
        say("")
        self._ike(watcher)
        say("")
        self._left_open(client)
        return self._failed

    def _transfers(
        self, watcher: Watcher, host: str, server: ftp.Server, url: str, mode: str
    ) -> None:
        watcher.take()
        for client in ("curl", "lftp") if mode in ("PORT", "PASV", "EPSV") else ("curl",):
            for what, move in (("down", ftp.fetch), ("up", ftp.send)):
                result = move(client, host, server, url, mode, LIMIT)
                seen = watcher.take()
                if client == "curl" and what == "down":
                    self._announcement(mode, seen)
                label = f"{client} {what}"
                good = f"5 MB, checksums agree, {result.seconds:.2f} s"
                self._verdict(label, result.intact and bool(seen), good, result.said)

    def _tftp(self, watcher: Watcher) -> None:
        """A transfer each way: the server answers from a port that nobody announced."""
        say("TFTP, client inside, server outside: inside1 -> 198.51.100.11")
        server = tftp.serve(OUTSIDE, tftp.SERVERS[0], TFTP_SIZE)
        for what, move in (("down", tftp.fetch), ("up", tftp.send)):
            watcher.take()
            result = move("curl", INSIDE, server, SERVER, LIMIT, {"blksize": 1428})
            seen = watcher.take()
            for record in seen:
                say(f"    read       {record['summary']}")
                for pinhole in record["pinholes"]:
                    say(f"    pinhole    {pinhole}")
            good = f"{TFTP_SIZE // 1000} KB, checksums agree, {result.seconds:.2f} s"
            self._verdict(f"curl {what}", result.intact and bool(seen), good, result.said)

    def _sip(self, watcher: Watcher) -> None:
        """A call of two sipps, with RTP and RTCP counted at both ends."""
        say("SIP, caller inside, callee outside: inside1 -> 198.51.100.11")
        watcher.take()
        begin = time.monotonic()
        with (
            sip.phone(OUTSIDE, "callee") as callee,
            sip.phone(INSIDE, "caller", SERVER, hold=MEDIA_SECONDS) as caller,
            rtp.Endpoint(INSIDE, INSIDE_ADDR, sip.AUDIO) as inside,
            rtp.Endpoint(OUTSIDE, SERVER, sip.AUDIO) as outside,
        ):
            (to_outside,) = caller.message(False, "SIP/2.0 200", "INVITE").targets()
            (to_inside,) = callee.message(False, "INVITE", "INVITE").targets()
            flows = (rtp.Flow(outside, to_inside, inside), rtp.Flow(inside, to_outside, outside))
            counts = rtp.exchange(flows, RTP_PACKETS)
            ended = caller.wait(20.0)
        for record in watcher.take(everything=True):
            say(f"    {record['sender']:<10} {record['summary'][:64]}")
            for pinhole in record["pinholes"]:
                say(f"    pinhole    {pinhole}")
        heard = all(count.complete for count in counts)
        got = "/".join(str(count.received) for count in counts)
        good = f"{RTP_PACKETS} RTP packets heard each way, {time.monotonic() - begin:.2f} s"
        self._verdict("sipp", ended.good and heard, good, ended.said or f"heard {got}")

    def _pptp(self, watcher: Watcher) -> None:
        """A call of two real programs, and numbered frames through its GRE tunnel."""
        say("PPTP, client inside, server outside: inside1 -> 198.51.100.11")
        pptp.serve(OUTSIDE)
        watcher.take()
        begin = time.monotonic()
        with pptp.Client(INSIDE, SERVER, INSIDE_ADDR) as client:
            connected = client.connect(10.0)
            for record in watcher.take():
                say(f"    read       {record['summary']}")
                for pinhole in record["pinholes"]:
                    say(f"    pinhole    {pinhole}")
            got = client.exchange(FRAMES, 20.0)
        held = connected and got.echoed == FRAMES
        good = f"{FRAMES} frames there and back, {time.monotonic() - begin:.2f} s"
        self._verdict("pptp", held, good, f"{got.echoed} of {FRAMES} frames came back")

    def _ike(self, watcher: Watcher) -> None:
        """A tunnel of two strongSwans, and a file through it."""
        say("IKEv2 and ESP in UDP, client inside, gateway outside: inside1 -> 198.51.100.11")
        watcher.take()
        begin = time.monotonic()
        outside = ike.Daemon(OUTSIDE, BEHIND_OUTSIDE)
        outside.load(ike.Connection("net", f"{BEHIND_OUTSIDE}/32", f"{BEHIND_INSIDE}/32"))
        inside = ike.Daemon(INSIDE, BEHIND_INSIDE)
        ends = (f"{BEHIND_INSIDE}/32", f"{BEHIND_OUTSIDE}/32")
        inside.load(ike.Connection("net", *ends, SERVER, 2))
        up = inside.initiate("net")
        for record in watcher.take(everything=True):
            if record["alg"] == "ike" and record["verdict"] == "forwarded":
                say(f"    passed     {record['sender']}: {record['summary']}")
        file = ike.serve(OUTSIDE, BEHIND_OUTSIDE, IKE_SIZE)
        got = ike.fetch(INSIDE, BEHIND_OUTSIDE, file, 20.0)
        good = f"{IKE_SIZE // 1000} KB through the tunnel, {time.monotonic() - begin:.2f} s"
        self._verdict("strongSwan", up.is_done and got.intact, good, up.text[-60:] or got.said)

    def _announcement(self, mode: str, seen: list[dict[str, Any]]) -> None:
        say(f"  {mode}")
        for record in seen:
            before, after = record["before"].strip(), record["after"].strip()
            say(f"    announced  {before}")
            say(f"    rewritten  {after if after != before else 'no: it names the outside host'}")
            for pinhole in record["pinholes"]:
                say(f"    pinhole    {pinhole}")

    def _verdict(self, label: str, held: bool, good: str, said: str) -> None:
        self._failed += not verdict(label, held, good, said)

    def _left_open(self, client: Client) -> None:
        left = client.call("show", what="pinholes")
        self._verdict("pinholes left open", not left, "none", str(left))


@contextmanager
def built(
    name: str, target: str, in_mininet: bool, servers: bool, without: str = ""
) -> Iterator[None]:
    """A lab with its controllers, while in the block."""
    lab = topology.read(topology.find(name))
    runner.sweep()
    try:
        if in_mininet:
            # Only whoever wants it needs it installed.
            try:
                from p4alg.mininet import LabNet
            except ImportError as error:
                raise UserError(str(error)) from None
            net = LabNet(lab, target, servers=servers)
            net.start()
            try:
                yield
            finally:
                net.stop()
        else:
            configs = {n: path for n in lab.switches if (path := lab.config(n)) is not None}
            options = runner.Options(servers=servers, without=without)
            runner.up(lab, target, configs, options=options)
            yield
    finally:
        runner.sweep()


def tell(name: str, target: str, in_mininet: bool, without: str = "") -> bool:
    """Build a lab and tell its story; True if all of it held."""
    begin = time.monotonic()
    where = ", in Mininet" if in_mininet else ""
    lacking = f" without {without}" if without else ""
    say(f"Through a P4 gateway ({target} switch{lacking}{where}), ALGs in the controller")
    say("")
    step(f"building the lab '{name}' and starting the controller")
    with built(name, target, in_mininet, servers=name in tours.TOURS, without=without):
        done()
        failed = tours.TOURS[name]() if name in tours.TOURS else Demo().run()
    what = "all of it held" if not failed else f"{failed} checks FAILED"
    say(f"{what}, {time.monotonic() - begin:.0f} s")
    return not failed


def main() -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--target", choices=plan.TARGETS, default=plan.TARGETS[0])
    parser.add_argument(
        "--without", default="", help="parts of P4Runtime that the embedded switch does without"
    )
    parser.add_argument("--mininet", action="store_true", help="build the lab in Mininet")
    parser.add_argument("--topology", choices=topology.SHIPPED, default=topology.DEFAULT)
    args = parser.parse_args()
    if args.without and args.mininet:
        parser.error("--without is for a lab of namespaces: leave out --mininet")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        ftp.require()
        tftp.require()
        pptp.require()
        sip.require()
        return 0 if tell(args.topology, args.target, args.mininet, args.without) else 1
    except UserError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
