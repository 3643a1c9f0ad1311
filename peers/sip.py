"""Real SIP in a lab: sipp as phone, trunk and registrar, kamailio as proxy, baresip as softphone.

Scenarios are in `sip_scenarios`; what sipp sent and got is read from its trace.
Configuration, traces and statistics live in the lab's own directory and go with it.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from p4alg.config.errors import UserError
from p4alg.lab import plan, runner, state
from peers import rtp

PORT = 5060
PROGRAMS = {"sipp": "sip-tester", "kamailio": "kamailio", "baresip": "baresip-core"}
"""Each program, and the Debian package that has it."""
SECRET = "open-sesame"
"""The password of every account at the proxy."""
AUDIO, RESUMED, VIDEO, VIDEO_RTCP = 40000, 40010, 40020, 40031
"""Ports that scenarios announce; the RTCP of video is not next to its RTP."""
_SCENARIOS = Path(__file__).with_name("sip_scenarios")
_START_SECONDS = 10.0
_STOP_SECONDS = 3.0
_TRANSPORTS = {"udp": "u1", "tcp": "t1"}
_CONTROL = 4444
"""Where baresip takes commands, inside its own namespace."""
_BREAK = re.compile(r"^-{20,} .*\n(?:UDP|TCP) message (sent|received) .*\n\n", re.MULTILINE)

_KAMAILIO = """\
debug=1
log_stderror=yes
# One worker a socket: of two, the second may send its message before the first does.
children=1
tcp_children=1
auto_aliases=no
listen=udp:{address}:{port}
listen=tcp:{address}:{port}
tcp_connection_lifetime=3600
loadmodule "kex.so"
loadmodule "pv.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "min_expires", 1)
request_route {{
    if (!mf_process_maxfwd_header("70")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (has_totag()) {{
        if (loose_route() || !(uri == myself)) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
        sl_send_reply("404", "Not Here");
        exit;
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    t_check_trans();
    if (is_method("REGISTER")) {{
        if (!pv_auth_check("{address}", "{secret}", "0", "0")) {{
            auth_challenge("{address}", "0");
            exit;
        }}
        save("location");
        exit;
    }}
    if (is_method("INVITE|SUBSCRIBE|REFER")) {{ record_route(); }}
    if (uri == myself && !lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    t_relay();
}}
"""
_OUTBOUND = """\
debug=1
log_stderror=yes
children=1
auto_aliases=no
disable_tcp=yes
listen=udp:{address}:{port}
loadmodule "kex.so"
loadmodule "pv.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
request_route {{
    if (!mf_process_maxfwd_header("70")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (has_totag()) {{ loose_route(); }} else if (is_method("INVITE")) {{ record_route(); }}
    t_relay();
}}
"""
"""Passes everything on to where it is for, and relays no media."""

_BARESIP = """\
sip_listen {address}:{port}
audio_source ausine,440
audio_player aubridge,nobody
audio_alert aubridge,nobody
ausrc_srate 48000
auplay_srate 8000
ausrc_channels 2
auplay_channels 1
rtp_ports 16384-16484
rtcp_mux no
rtp_stats yes
ctrl_tcp_listen 127.0.0.1:{control}
module_path {modules}
module g711.so
module ausine.so
module aubridge.so
module rtcpsummary.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
"""
_STATISTICS = "stats.csv"
_SLOW = "ResponseTimeRepartition1_>=1000"
"""The column that counts what `caller_many` calls slow."""
_fresh = itertools.cycle(range(20000, 30000))
_MODULES = Path("/usr/lib/baresip/modules")


def missing() -> list[str]:
    """The Debian packages that would have to be installed."""
    return [pkg for program, pkg in PROGRAMS.items() if shutil.which(program) is None]


def require() -> None:
    """Raise `UserError` if a program is missing."""
    for package in missing():
        raise UserError(f"'{package}' is not installed: run 'make setup'")


def address(host: str) -> str:
    """The IPv4 address of a host of the lab that is up."""
    command = ["ip", "-n", runner.current().hosts[host], "-4", "-json", "addr", "show", "eth0"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return str(json.loads(shown.stdout)[0]["addr_info"][0]["local"])


@dataclass(frozen=True, slots=True)
class Message:
    """A SIP message that a program sent or got."""

    sent: bool
    text: str

    @property
    def start(self) -> str:
        """Its first line."""
        return self.text.partition("\n")[0].strip()

    @property
    def body(self) -> str:
        """What follows its headers."""
        return self.text.partition("\n\n")[2]

    def header(self, name: str) -> str:
        """The first header of that name; empty if there is none."""
        found = re.search(rf"^{re.escape(name)}:[ \t]*(.*)$", self.text, re.MULTILINE | re.I)
        return found[1].strip() if found else ""

    def uri(self, name: str) -> str:
        """The URI in a header, without parameters."""
        found = re.search(r"<?(sips?:[^>;\s]+)", self.header(name))
        return found[1] if found else ""

    def targets(self) -> list[rtp.Target]:
        """Where the streams that its body describes are to be sent."""
        session, *streams = re.split(r"^m=", self.body, flags=re.MULTILINE)
        found: list[rtp.Target] = []
        for stream in streams:
            where = re.search(r"^c=IN IP4 (\S+)", stream + "\n" + session, re.MULTILINE)
            apart = re.search(r"^a=rtcp:(\d+)", stream, re.MULTILINE)
            port = int(stream.split()[1])
            found.append(
                rtp.Target(where[1] if where else "", port, int(apart[1]) if apart else port + 1)
            )
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scenario ended: whether every call went as it says, and what sipp has to say."""

    good: bool
    said: str


class Phone:
    """A running sipp; use as a context manager."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Take over a process whose traces are in `folder`."""
        self._process = process
        self._folder = folder

    def __enter__(self) -> Phone:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self, limit: float) -> Outcome:
        """Wait for its end; `limit` in seconds."""
        try:
            status = self._process.wait(limit)
        except subprocess.TimeoutExpired:
            self.stop()
            return Outcome(False, f"no end after {limit:g} s; {self._errors()}")
        return Outcome(status == 0, self._errors() if status else "")

    def stop(self) -> None:
        """End it, whatever it is doing."""
        _stop(self._process)

    def statistics(self) -> list[dict[str, str]]:
        """Its statistics second by second, if it was told to keep them."""
        text = _text(self._folder / _STATISTICS)
        return list(csv.DictReader(text.splitlines(), delimiter=";"))

    def messages(self) -> list[Message]:
        """What it has sent and got so far."""
        return read_trace(_text(self._folder / "messages"))

    def message(
        self, sent: bool, start: str, method: str, nth: int = 0, limit: float = 10.0
    ) -> Message:
        """Wait for a message: its first line begins with `start`, its CSeq ends with `method`.

        Of several `nth` is wanted. Raises `UserError` if it does not come.
        """
        until = time.monotonic() + limit
        while True:
            # Looked at first: what it wrote before it ended is read below.
            over = self._process.poll() is not None or time.monotonic() > until
            messages = self.messages()
            found = [m for m in messages if m.sent is sent and m.start.startswith(start)]
            found = [m for m in found if m.header("CSeq").endswith(method)]
            if len(found) > nth:
                return found[nth]
            if over:
                seen = ", ".join(("> " if m.sent else "< ") + m.start for m in messages)
                raise UserError(f"no '{start}' of {method}; {self._errors()}; seen: {seen}")
            time.sleep(0.02)

    def _errors(self) -> str:
        return " ".join(_text(self._folder / "errors").split())[:2000] or "it wrote no error"


def read_trace(text: str) -> list[Message]:
    """The messages in sipp's trace file."""
    parts = _BREAK.split(text.replace("\r\n", "\n"))
    return [
        Message(way == "sent", body) for way, body in zip(parts[1::2], parts[2::2], strict=True)
    ]


def phone(
    host: str,
    scenario: str,
    remote: str = "",
    *,
    own: str = "phone",
    service: str = "service",
    domain: str = "",
    transport: str = "udp",
    port: int = 0,
    hold: float = 0.3,
    keys: Mapping[str, str] | None = None,
    more: Sequence[str] = (),
    traced: bool = True,
    limit: float = 30.0,
) -> Phone:
    """Run sipp in a host: a scenario by name, towards `remote` (ADDRESS or ADDRESS:PORT).

    One that calls must have a `remote`; one that is called listens when this
    returns. `port` is its own (0: 5060, and for a caller on TCP one not used
    before). `keys` are what the scenario takes (held_ip, expires, refer_to ...),
    `more` further options of sipp. Unless it is
    `traced` there are no messages to read afterwards.
    """
    at = address(host)
    folder = state.directory() / f"sip-{host}-{scenario}-{time.monotonic_ns()}"
    folder.mkdir()
    if not port:
        # A TCP connection from the same port as the last one would have to wait for its end.
        port = next(_fresh) if remote and transport == "tcp" else PORT
    values = {
        "own": own,
        "domain": domain or remote.partition(":")[0] or at,
        "audio": str(AUDIO),
        "resumed": str(RESUMED),
        "video": str(VIDEO),
        "video_rtcp": str(VIDEO_RTCP),
        "held_ip": at,
        "expires": "60",
        "contact_port": str(PORT),
        **(keys or {}),
    }
    command = ["sipp", *([remote] if remote else []), "-sf", str(_SCENARIOS / f"{scenario}.xml")]
    command += ["-i", at, "-p", str(port), "-t", _TRANSPORTS[transport], "-s", service]
    command += ["-au", own, "-ap", SECRET]
    command += ["-m", "1", "-d", str(round(hold * 1000)), "-nostdin"]
    command += ["-timeout", f"{limit:g}s", "-timeout_error"]
    command += ["-trace_err", "-error_file", str(folder / "errors")]
    if traced:
        command += ["-trace_msg", "-message_file", str(folder / "messages")]
    for key, value in values.items():
        command += ["-key", key, value]
    process = subprocess.Popen(
        plan.inside(runner.current().hosts[host], *command, *more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    running = Phone(process, folder)
    if not remote:
        _until_listening(process, port, transport, f"sipp in {host}")
    return running


def proxy(host: str, port: int = PORT) -> str:
    """Start kamailio in a host, afresh: registrar and proxy, UDP and TCP; returns its address."""
    return _kamailio(host, port, _KAMAILIO, ("tcp", "udp"))


def outbound_proxy(host: str, port: int = PORT) -> str:
    """Start kamailio in a host, afresh, as the proxy of its neighbours; returns its address."""
    return _kamailio(host, port, _OUTBOUND, ("udp",))


def _kamailio(host: str, port: int, text: str, protocols: Sequence[str]) -> str:
    at = address(host)
    folder = state.directory() / f"kamailio-{host}"
    folder.mkdir(exist_ok=True)
    # One that runs already goes, and with it all that is registered there.
    runner.stop(f"kamailio-{host}")
    config = folder / "kamailio.cfg"
    config.write_text(text.format(address=at, port=port, secret=SECRET), encoding="ascii")
    own = ["-DD", "-E", "-m", "64", "-M", "8", "-Y", str(folder), "-w", str(folder)]
    process = runner.start(f"kamailio-{host}", host, ["kamailio", "-f", str(config), *own])
    until = time.monotonic() + _START_SECONDS
    while not all(runner.listens(process.pid, port, proto) for proto in protocols):
        if not process.alive() or time.monotonic() > until:
            raise UserError(f"kamailio does not start in {host}: see 'p4alg lab logs'")
        time.sleep(0.05)
    return at


@dataclass(frozen=True, slots=True)
class Load:
    """What many calls came to, by sipp's statistics of the calling side."""

    total: int
    succeeded: int
    failed: int
    peak: int
    """The most calls there were at once, answered or not."""
    slow: int
    """Calls whose answer took a second or more: something was lost or held back."""
    retransmissions: int
    """Of both sides."""
    said: str


def calls(
    rate: float,
    total: int,
    hold: float,
    *,
    caller: str = "inside1",
    callee: str = "outside1",
    transport: str = "udp",
) -> Load:
    """Make `total` calls, `rate` a second, each held for `hold` seconds; no media are sent.

    They are all held at once if `hold` is longer than `total` / `rate` and none was
    `slow` to be answered. A call that neither succeeded nor failed in time counts as failed.
    """
    # The last call begins last, and a message that was lost is repeated for 32 s.
    limit = total / rate + hold + 35
    size = ["-m", str(total), "-l", str(total), "-buff_size", "1048576"]
    stats = ["-trace_stat", "-fd", "1", "-stf", _STATISTICS]
    run = partial(phone, transport=transport, hold=hold, limit=limit, traced=False)
    with (
        run(callee, "callee_many", more=[*size, *stats]) as called,
        run(
            caller, "caller_many", address(callee), more=[*size, "-r", f"{rate:g}", *stats]
        ) as calling,
    ):
        outcome = calling.wait(limit + 5)
        called.stop()
        rows, answering = calling.statistics(), called.statistics()
    peak = max((int(row.get("CurrentCall") or 0) for row in rows), default=0)
    succeeded = _last(rows, "SuccessfulCall(C)")
    again = "Retransmissions(C)"
    return Load(
        total=total,
        succeeded=succeeded,
        failed=total - succeeded,
        peak=peak,
        slow=_last(rows, _SLOW),
        retransmissions=_last(rows, again) + _last(answering, again),
        said=outcome.said,
    )


def _last(rows: list[dict[str, str]], column: str) -> int:
    return int(rows[-1][column]) if rows else 0


class Softphone:
    """A baresip that is registered and answers by itself; use as a context manager."""

    def __init__(self, host: str, own: str, registrar: str, transport: str = "udp") -> None:
        """Start it in a host as `own` at `registrar` (ADDRESS), and wait until it is registered."""
        folder = state.directory() / f"baresip-{host}-{time.monotonic_ns()}"
        folder.mkdir()
        values = {"port": PORT, "control": _CONTROL, "modules": _MODULES}
        config = _BARESIP.format(address=address(host), **values)
        (folder / "config").write_text(config, encoding="ascii")
        account = f"<sip:{own}@{registrar};transport={transport}>;auth_pass={SECRET}"
        more = ";answermode=auto;regint=60;audio_codecs=PCMU/8000/1"
        (folder / "accounts").write_text(account + more + "\n", encoding="ascii")
        (folder / "contacts").touch()
        self.own = own
        self._events: list[dict[str, Any]] = []
        self._rest = b""
        self._line: socket.socket | None = None
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                plan.inside(runner.current().hosts[host], "baresip", "-4", "-f", str(folder)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._connect(host)
            self._wait_until_registered()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Softphone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self, name: str, params: str = "") -> None:
        """Have it do something: ``dial``, ``hangup``, ``hold``, ``resume``, ``transfer`` ..."""
        assert self._line is not None
        said = json.dumps({"command": name, "params": params, "token": name}).encode()
        self._line.sendall(b"%d:%s," % (len(said), said))

    def event(self, kind: str, limit: float = 10.0) -> dict[str, Any]:
        """Wait for an event such as ``CALL_ESTABLISHED``, and drop those before it.

        Raises `UserError` if it does not come.
        """
        until = time.monotonic() + limit
        seen: list[str] = []
        while True:
            while self._events:
                event = self._events.pop(0)
                seen.append(str(event.get("type")))
                if event.get("type") == kind:
                    return event
            if time.monotonic() > until:
                what = f"no {kind} within {limit:g} s, only {', '.join(seen) or 'nothing'}"
                raise UserError(f"{self.own}: {what}; {self.said()}")
            self._read()

    def packets(self) -> tuple[int, int]:
        """RTP packets sent and received in the last call that has ended; zeros if it had none."""
        found = re.findall(r"^packets:\s+(\d+)\s+(\d+)", _text(self._log), re.MULTILINE)
        return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)

    def said(self) -> str:
        """The end of what it has written, without its running display."""
        lines = [x for x in re.split(r"[\r\n]+", _text(self._log)) if x and "(bit/s)" not in x]
        return " | ".join(lines[-8:])

    def close(self) -> None:
        """Have it take its registration back, and end."""
        if self._line is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self.command("quit")
                self._process.wait(_STOP_SECONDS)
            self._line.close()
        _stop(self._process)

    def _connect(self, host: str) -> None:
        _until_listening(self._process, _CONTROL, "tcp", f"baresip in {host}")
        self._line = rtp.socket_in(host, socket.SOCK_STREAM)
        self._line.settimeout(0.2)
        self._line.connect(("127.0.0.1", _CONTROL))

    def _wait_until_registered(self) -> None:
        until = time.monotonic() + _START_SECONDS
        # The event may have been before there was anybody to tell.
        while "200 OK" not in _text(self._log):
            if time.monotonic() > until:
                raise UserError(f"{self.own} is not registered: {self.said()}")
            time.sleep(0.05)

    def _read(self) -> None:
        assert self._line is not None
        try:
            data = self._line.recv(65536)
        except TimeoutError:
            return
        if not data:
            raise UserError(f"{self.own}: baresip has ended: {self.said()}")
        self._rest += data
        # Netstrings: a length, a colon, as many bytes, a comma.
        while (found := re.match(rb"(\d+):", self._rest)) is not None:
            end = found.end() + int(found[1])
            if len(self._rest) <= end:
                break
            event = json.loads(self._rest[found.end() : end])
            self._rest = self._rest[end + 1 :]
            if event.get("event"):
                self._events.append(event)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for end in (process.terminate, process.kill):
        if process.poll() is None:
            end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)


def _until_listening(
    process: subprocess.Popen[bytes], port: int, transport: str, what: str
) -> None:
    until = time.monotonic() + _START_SECONDS
    while not runner.listens(process.pid, port, transport):
        if process.poll() is not None or time.monotonic() > until:
            raise UserError(f"{what} does not listen on {transport} port {port}")
        time.sleep(0.02)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
