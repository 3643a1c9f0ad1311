"""The other userspace: the same lab with Open vSwitch in the switch's place.

Its datapath in userspace (`netdev`), which needs nothing of the kernel but sockets, with the
connection tracking, NAT and FTP helper that come with it. It has no helper for SIP. `make bench`
unpacks Debian's packages beside the virtual environment; nothing is installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from p4alg.config.errors import UserError
from p4alg.lab import plan, runner, state
from p4alg.lab.names import SWITCH
from p4alg.lab.topology import Topology

ROOT = Path(sys.prefix) / "openvswitch"
"""Where the packages are unpacked."""
_GATEWAY_MAC = {"inside": "02:00:00:01:00:01", "outside": "02:00:00:01:00:03"}
_POOL = "203.0.113.1"
# The addresses of a host, the ones that benchmarks give it among them.
_ADDRESSES = {
    "inside1": ("10.0.0.11", "10.0.0.64/28"),
    "inside2": ("10.0.0.12", "10.0.0.80/28"),
    "outside1": ("198.51.100.11",),
    "outside2": ("198.51.100.12",),
}
_TRACKED = """
table=0,priority=10,ip,actions=ct(table=1,zone=1,nat)
table=1,priority=10,ct_state=+trk+est,ip,actions=goto_table:2
table=1,priority=30,ct_state=+trk+new+rel,ip,actions=ct(commit,zone=1,nat,table=2)
"""
_FROM_INSIDE = """
table=1,priority=30,ct_state=+trk+new-rel,in_port={port},tcp,tp_dst=21,\
actions=ct(commit,zone=1,alg=ftp,nat(src={pool}),table=2)
table=1,priority=20,ct_state=+trk+new-rel,in_port={port},ip,\
actions=ct(commit,zone=1,nat(src={pool}),table=2)
"""
# Answers ARP requests for the gateway's address as Open vSwitch's manual shows it.
_ARP = """
table=0,priority=20,arp,arp_op=1,arp_tpa={address},actions=\
move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],mod_dl_src:{mac},load:2->NXM_OF_ARP_OP[],\
move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],\
load:{number:#x}->NXM_NX_ARP_SHA[],load:{value:#x}->NXM_OF_ARP_SPA[],in_port
"""
_ROUTE = """
table=2,priority=10,ip,nw_dst={address},actions=\
mod_dl_src:{gateway},mod_dl_dst:{mac},dec_ttl,output:{port}
"""


def up(topology: Topology) -> None:
    """Build the lab with Open vSwitch as its router; `UserError` if that is not possible."""
    if not ROOT.is_dir():
        raise UserError("Open vSwitch is not unpacked: run 'make bench'")
    folder, prefix = state.directory(), state.prefix()
    names = [SWITCH, *(host.name for host in topology.hosts)]
    lab = state.State(topology.name, "ovs", {n: plan.namespace(prefix, n) for n in names})
    state.save(folder, lab)
    try:
        for command in plan.build(prefix, topology):
            subprocess.run(command, check=True, capture_output=True, text=True)
        _start(folder, topology)
    except subprocess.CalledProcessError as error:
        runner.sweep()
        why = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"ovs: {why}") from None


def _start(folder: Path, topology: Topology) -> None:
    """Start the data base and the switch, add the ports, and write the flows."""
    base, socket = folder / "ovs.db", folder / "ovs-db.sock"
    base.unlink(missing_ok=True)
    schema = ROOT / "usr/share/openvswitch/vswitch.ovsschema"
    _run("bin/ovsdb-tool", "create", base, schema)
    _serve(
        "ovsdb-server", "sbin", base, f"--remote=punix:{socket}", f"--unixctl={folder}/ovs-db.ctl"
    )
    _until(socket)
    control = ("bin/ovs-vsctl", f"--db=unix:{socket}")
    _run(*control, "--no-wait", "init")
    ours = [f"unix:{socket}", "--disable-system", f"--unixctl={folder}/ovs.ctl"]
    _serve("ovs-vswitchd", "lib/openvswitch-switch", *ours)
    _run(*control, "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
    for host in topology.hosts:
        name = f"port{host.port}"
        wanted = ("set", "interface", name, f"ofport_request={host.port}")
        _run(*control, "add-port", "br0", name, "--", *wanted)
    flows = folder / "ovs.flows"
    flows.write_text(_flows(topology))
    bridge = f"unix:{folder}/br0.mgmt"
    _run("bin/ovs-ofctl", "del-flows", bridge)
    _run("bin/ovs-ofctl", "add-flows", bridge, flows)


def _flows(topology: Topology) -> str:
    text = _TRACKED
    for side, address in (("inside", "10.0.0.1"), ("outside", "198.51.100.1")):
        mac = _GATEWAY_MAC[side]
        value = int.from_bytes(bytes(map(int, address.split("."))), "big")
        number = int(mac.replace(":", ""), 16)
        text += _ARP.format(address=address, mac=mac, number=number, value=value)
    for host in topology.hosts:
        side = host.name.rstrip("0123456789")
        if side == "inside":
            text += _FROM_INSIDE.format(port=host.port, pool=_POOL)
        for address in _ADDRESSES[host.name]:
            text += _ROUTE.format(
                address=address, gateway=_GATEWAY_MAC[side], mac=host.mac, port=host.port
            )
    return text


def _environment() -> dict[str, str]:
    """That of Open vSwitch's programs: their libraries, and all their files with the lab's."""
    folder = str(state.directory())
    names = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
    libraries = f"{ROOT}/usr/lib/{os.uname().machine}-linux-gnu"
    return {**os.environ, "LD_LIBRARY_PATH": libraries, **dict.fromkeys(names, folder)}


def _run(program: str, *args: object) -> None:
    subprocess.run(
        [f"{ROOT}/usr/{program}", *map(str, args)],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
        env=_environment(),
    )


def _serve(name: str, where: str, *args: object) -> None:
    runner.start(name, SWITCH, [f"{ROOT}/usr/{where}/{name}", *map(str, args)], _environment())


def _until(path: Path) -> None:
    for _ in range(100):
        if path.exists():
            return
        time.sleep(0.05)
    raise UserError("ovs: its data base does not start")
