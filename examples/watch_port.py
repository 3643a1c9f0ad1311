"""Watch an FTP PORT command being rewritten: the same line on both sides of the gateway."""

import re
import sys
import time

from mininet.cli import CLI

from p4alg.mininet import running_lab

SNIFF = ["tcpdump", "-l", "-n", "-A", "-i", "eth0", "tcp port 21"]
FETCH = "curl -sS --max-time 20 -P - --disable-eprt -o /dev/null ftp://outside1/file.bin"

with running_lab("nat") as net:
    sides = {"inside1, sent": net["inside1"], "outside1, got": net["outside1"]}
    sniffers = {side: host.popen(SNIFF, text=True) for side, host in sides.items()}
    time.sleep(1)  # tcpdump has to listen before there is something to hear.
    print(net["inside1"].cmd(FETCH), end="")
    time.sleep(1)
    for side, sniffer in sniffers.items():
        sniffer.terminate()
        heard, _ = sniffer.communicate()
        for line in sorted(set(re.findall(r"PORT [0-9,]+", heard))):
            print(f"{side:<14} {line}")
    print(net.p4alg("show", "sessions"), end="")
    if sys.stdin.isatty():
        CLI(net)
