"""The incumbent: the same lab with the Linux kernel in the switch's place.

A router with nftables: source NAT to the same pool, and the kernel's FTP and SIP
helpers (nf_conntrack_ftp, nf_nat_ftp, nf_conntrack_sip, nf_nat_sip), assigned by
rule as current kernels want it. The FTP helper does not read the first command of a
connection, and so misses a PORT without a login before it.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from p4alg.config.errors import UserError
from p4alg.lab import plan, runner, state
from p4alg.lab.names import SWITCH
from p4alg.lab.topology import Topology

_RULES = """
table ip bench {
  ct helper ftp { type "ftp" protocol tcp; }
  ct helper sip { type "sip" protocol udp; }
  chain assign {
    type filter hook prerouting priority -150; policy accept;
    tcp dport 21 ct state new ct helper set "ftp";
    udp dport 5060 ct state new ct helper set "sip";
  }
  chain nat { type nat hook postrouting priority 100; oifname "port3" snat to 203.0.113.1; }
}
"""


def up(topology: Topology) -> None:
    """Build the lab with a kernel router; `UserError` if the kernel or nft cannot."""
    if shutil.which("nft") is None:
        raise UserError("nft is not on PATH: install nftables")
    folder, prefix = state.directory(), state.prefix()
    names = [SWITCH, *(host.name for host in topology.hosts)]
    lab = state.State(topology.name, "netfilter", {n: plan.namespace(prefix, n) for n in names})
    state.save(folder, lab)
    router = lab.hosts[SWITCH]
    commands = plan.build(prefix, topology)
    for port, address in (("port1", "10.0.0.1/24"), ("port3", "198.51.100.1/24")):
        commands.append(["ip", "-n", router, "addr", "add", address, "dev", port])
        commands.append(plan.inside(router, "sh", "-c", _spread(port)))
    commands.append(plan.inside(router, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, text=True)
        subprocess.run(
            plan.inside(router, "nft", "-f", "-"),
            input=_RULES,
            check=True,
            capture_output=True,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        runner.sweep()
        why = (error.stderr.strip().splitlines() or ["no reason given"])[0]
        raise UserError(f"netfilter: {why}") from None


def _spread(port: str) -> str:
    """The command that has packets from a port forwarded on all processors but the first.

    That is where trafgen sends. Without this the kernel forwards where the packet was
    sent from, and takes half of its time for the sender's own work.
    """
    mask = (1 << min(os.cpu_count() or 1, 32)) - 2
    return f"echo {mask:x} >/sys/class/net/{port}/queues/rx-0/rps_cpus"
