"""Ports on real interfaces, in a network namespace of the test's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap

import pytest

from .helpers import P4_DIR
from .namespaces import namespace, needs_namespaces

pytestmark = [pytest.mark.lab, needs_namespaces]

# Runs inside the namespace: a switch in this very process, driven through veth pairs.
SCRIPT = textwrap.dedent(
    """
    import asyncio, json, socket, sys
    from p4softswitch.io.spec import InterfaceSpec
    from p4softswitch.server import Server, Settings
    sys.path.insert(0, sys.argv[1])
    from softswitch.helpers import config, udp_frame, ethernet, action_id, SECOND
    from p4softswitch.state.entry import Exact

    async def main():
        ports = [InterfaceSpec(1, "swa"), InterfaceSpec(2, "swb")]
        server = Server(Settings(ports, grpc="127.0.0.1:0", config=config()))
        await server.start()
        table = server.switch.executor.state.tables["SwitchIngress.dmac"]
        table.insert((Exact(2),), 0, action_id("SwitchIngress.dmac", "forward"), (2,), 0)
        loop = asyncio.get_running_loop()
        hosts = []
        for name in ("hosta", "hostb"):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.setsockopt(263, 23, 1)
            s.setsockopt(263, 8, 1)
            s.bind((name, 3))
            s.setblocking(False)
            hosts.append(s)
        tagged = ethernet(b"\\x20\\x05\\x99\\x99" + bytes(60), 2, 1, 0x8100)
        frames = [udp_frame(b"x" * 30), tagged, udp_frame(b"y" * 1400)]
        got = []
        for frame in frames:
            await loop.sock_sendall(hosts[0], frame)
            while True:
                data, extra, _, _ = await asyncio.wait_for(receive(loop, hosts[1]), 5)
                if extra and extra[0][2][0] & 16:
                    tci = int.from_bytes(extra[0][2][16:18], sys.byteorder)
                    data = data[:12] + b"\\x81\\x00" + tci.to_bytes(2, "big") + data[12:]
                if data[6:12] == frame[6:12]:
                    break
            got.append(data == frame)
        stats = server.switch.port_stats
        print(json.dumps({"same": got, "tx": stats[2].tx_packets, "rx2": stats[2].rx_packets}))
        await server.stop()

    async def receive(loop, s):
        while True:
            try:
                return s.recvmsg(2000, 64)
            except BlockingIOError:
                ready = loop.create_future()
                loop.add_reader(s, ready.set_result, None)
                await ready
                loop.remove_reader(s)

    asyncio.run(main())
    """
)


PAIRS = (("swa", "hosta"), ("swb", "hostb"))


def test_frames_cross_real_interfaces_with_their_vlan_tags() -> None:
    tests = str(P4_DIR.parent.parent)
    with namespace("io", PAIRS) as inside:
        command = [*inside, sys.executable, "-c", SCRIPT, tests]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["same"] == [True, True, True]
    # Its own frames do not come back to the switch.
    assert result == {"same": [True] * 3, "tx": 3, "rx2": 0}


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv to drop privileges")
def test_without_privilege_the_switch_says_what_to_do() -> None:
    with namespace("cap", PAIRS) as inside:
        command = [*inside, "setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
        command += [sys.executable, "-m", "p4softswitch", "-i", "1@swa", "--grpc", "127.0.0.1:0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "CAP_NET_RAW" in done.stderr
