"""What people read: text that peers chose must not act on a terminal, nor show a secret."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from contextlib import suppress

from attacks import wire
from attacks.control import session
from attacks.table import Attack, Vacuous, World
from attacks.wire import ADDRESSES
from p4alg.lab import runner

_SECRET = "hunter2-of-attack"
_EVIL = "\x1b]0;owned\x07\x1b[2J\u202e"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_START_SECONDS = 4.0
"""Seconds that a command may take to begin, on a busy machine."""
_VIEWS = ("events", "sessions", "bindings", "pinholes", "counters", "subscribers", "algs")


def _invite(call: str) -> bytes:
    own, goal = ADDRESSES["inside1"], ADDRESSES["outside1"]
    return (
        f"INVITE sip:b@{goal} SIP/2.0\r\nVia: SIP/2.0/UDP {own}:5060;branch=z9hG4bKevil\r\n"
        f"From: {_EVIL} <sip:a@{own}>;tag=1\r\nTo: <sip:b@{goal}>\r\nCall-ID: {call}\r\n"
        f'CSeq: 1 INVITE\r\nAuthorization: Digest username="{_SECRET}"\r\nMax-Forwards: 70\r\n'
        f"Contact: <sip:a@{own}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def _send() -> None:
    with session() as talk, suppress(OSError):
        talk.say("client", f"PASS {_SECRET}")
        talk.say("client", f"ACCT {_SECRET}")
        talk.say("server", f"230 {_EVIL}")
        talk.say("client", f"RETR {_EVIL}")
    with wire.udp("inside1") as phone:
        phone.bind(("", 5060))
        for call in (f"x{_EVIL}y", "plain"):
            phone.sendto(_invite(call), (ADDRESSES["outside1"], 5060))
    with wire.udp("inside1") as reader:
        for name in (b"boot.img", _EVIL.encode()):
            reader.sendto(b"\0\1" + name + b"\0octet\0", (ADDRESSES["outside1"], 69))


def injection(world: World) -> list[str]:
    """ESC, BEL and bidi in FTP, SIP and TFTP; PASS, ACCT and Authorization in what is shown."""
    command = [sys.executable, "-m", "p4alg"]
    texts: dict[str, str] = {}
    with subprocess.Popen([*command, "trace"], stdout=subprocess.PIPE, text=True) as trace:
        time.sleep(_START_SECONDS)
        _send()
        time.sleep(1.0)
        trace.terminate()
        texts["trace"] = trace.communicate(timeout=10)[0]
    if "PASS" not in texts["trace"] or "boot.img" not in texts["trace"]:
        raise Vacuous("the trace does not show what was sent")
    for view in _VIEWS:
        done = subprocess.run(
            [*command, "show", view], capture_output=True, text=True, check=False, timeout=30
        )
        texts[f"show {view}"] = done.stdout + done.stderr
    texts["the log"] = runner.logs()[runner.CONTROLLER]
    through: list[str] = []
    for where, text in texts.items():
        found = _CONTROL.search(text)
        if found is not None:
            through.append(f"{where} has {found[0]!r}")
        if _SECRET in text:
            through.append(f"{where} has a password")
    return through


ATTACKS = [Attack(8, "terminals and secrets", "any peer", injection)]
