"""How long does a file take through two NATs when every link has 10 Mbit/s and 20 ms?"""

import sys

from mininet.cli import CLI

from p4alg.mininet import running_lab, shaped

LINK = shaped(bw=10, delay="20ms", loss=0.1)
FETCH = "curl -sS --max-time 60 -o /dev/null -w '%{size_download} bytes in %{time_total} s' "

with running_lab("two-nats", link=LINK) as net:
    for how, option in (("active ", "-P - --disable-eprt "), ("passive", "")):
        print(f"FTP, {how}: " + net["inside1"].cmd(FETCH + option + "ftp://outside1/file.bin"))
    print("ping:", net["inside1"].cmd("ping -c 3 -q outside1").splitlines()[-1])
    if sys.stdin.isatty():
        CLI(net)
