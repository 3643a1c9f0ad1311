"""Write your own ALG: a server calls its client back, which no NAT lets in without help.

The ALG is in the folder `own_alg`, as a distribution of its own. It is installed for this script
only, and used where it is switched on.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mininet.cli import CLI

from p4alg.mininet import interpreter, running_lab

OWN = Path(__file__).resolve().parent / "own_alg"
PIP = [interpreter(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
OFFLINE = ["--no-deps", "--no-index", "--no-build-isolation"]

with tempfile.TemporaryDirectory() as site:
    subprocess.run([*PIP, *OFFLINE, "--target", site, str(OWN)], check=True)
    # The controller finds the ALG there as any installed distribution.
    os.environ["PYTHONPATH"] = site
    with running_lab("nat") as net:
        net["outside1"].cmd(f"python3 {OWN}/callme.py server &")
        for switched in ("enable", "disable"):
            print(net.p4alg("alg", switched, "callme"), end="")
            print("  client: " + net["inside1"].cmd(f"python3 {OWN}/callme.py client outside1"))
        print(net.p4alg("show", "events"), end="")
        if sys.stdin.isatty():
            CLI(net)
