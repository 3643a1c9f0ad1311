"""Break SIP by switching its ALG off: who hears the caller, and where is he said to be?

A call from inside to outside, once with the ALG and once without. The callee sends words to
wherever the invitation says that media go; the caller's phone repeats what it hears.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mininet.cli import CLI

from p4alg.mininet import running_lab

MEDIA = re.compile(r"c=IN IP4 (\S+).*?m=audio (\d+)", re.DOTALL)
PHONE = ["sipp", "-nostdin", "-m", "1", "-timeout", "8s"]
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def call(net: Any) -> None:
    """A call of three seconds; say what the callee was told, and what came back."""
    inside, outside = net["inside1"], net["outside1"]
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "messages")
        log = ["-trace_msg", "-message_file", str(trace)]
        callee = outside.popen([*PHONE, "-sn", "uas", "-i", outside.IP(), *log], **QUIET)
        time.sleep(0.5)
        own = ["-sn", "uac", "-i", inside.IP(), "-d", "3000", "-rtp_echo", outside.IP()]
        caller = inside.popen([*PHONE, *own], **QUIET)
        time.sleep(1.5)
        invited = MEDIA.search(trace.read_text(encoding="utf-8").replace("\r", ""))
        address, port = invited.groups() if invited else ("nowhere", "0")
        print(f"  the callee was told to send media to {address}:{port}")
        words = f"echo 'can you hear me?' | socat -t 1 - UDP:{address}:{port} 2>/dev/null"
        print(f"  the caller heard: {outside.cmd(words).strip() or 'nothing'}")
        print(f"  the call {'succeeded' if caller.wait() == 0 else 'failed'}")
        callee.terminate()
        callee.wait()


with running_lab("nat") as net:
    print(net.p4alg("alg", "enable", "sip"), end="")
    call(net)
    print(net.p4alg("alg", "disable", "sip"), end="")
    call(net)
    if sys.stdin.isatty():
        CLI(net)
