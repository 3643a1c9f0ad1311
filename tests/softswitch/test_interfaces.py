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
        workers = int(sys.argv[2])
        server = Server(Settings(ports, grpc="127.0.0.1:0", config=config(), workers=workers))
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


WORKERS = (1, 2)
PAIRS = (("swa", "hosta"), ("swb", "hostb"))


@pytest.mark.parametrize("workers", WORKERS)
def test_frames_cross_real_interfaces_with_their_vlan_tags(workers: int) -> None:
    tests = str(P4_DIR.parent.parent)
    with namespace("io", PAIRS) as inside:
        command = [*inside, sys.executable, "-c", SCRIPT, tests, str(workers)]
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


# What the scripts below have in common: a switch in this process that sends from swa to swb.
COMMON = textwrap.dedent(
    """
    import asyncio, json, socket, subprocess, sys, time
    from p4softswitch.io.spec import InterfaceSpec
    from p4softswitch.server import Server, Settings
    sys.path.insert(0, sys.argv[1])
    from softswitch.helpers import config, udp_frame, action_id
    from p4softswitch.state.entry import Exact

    def ip(*words):
        subprocess.run(["ip", "link", *words], check=True)

    def host(name):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.setsockopt(263, 23, 1)
        s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
        s.bind((name, 3))
        s.setblocking(False)
        return s

    def received(s):
        found = []
        while True:
            try:
                data = s.recv(70000)
            except BlockingIOError:
                return found
            if data[:6] == bytes(5) + bytes([2]):
                found.append(data)

    async def until(condition, seconds=10):
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            await asyncio.sleep(0.01)
        return condition()

    async def started():
        ports = [InterfaceSpec(1, "swa"), InterfaceSpec(2, "swb")]
        workers = int(sys.argv[2])
        server = Server(Settings(ports, grpc="127.0.0.1:0", config=config(), workers=workers))
        await server.start()
        table = server.switch.executor.state.tables["SwitchIngress.dmac"]
        table.insert((Exact(2),), 0, action_id("SwitchIngress.dmac", "forward"), (2,), 0)
        return server
    """
)

JUMBO = """
async def main():
    for name in ("swa", "hosta", "swb", "hostb"):
        ip("set", name, "mtu", "65000")
    server = await started()
    a, b = host("hosta"), host("hostb")
    # By the ring, by the queue of the socket, and by the ring again.
    frames = [udp_frame(bytes([n]) * size) for n, size in enumerate((30, 1900, 9000, 60000, 40))]
    for frame in frames:
        a.send(frame)
    got = []
    await until(lambda: got.extend(received(b)) or len(got) >= len(frames))
    # What is too long for the way out is dropped and counted.
    ip("set", "swb", "mtu", "1500")
    a.send(udp_frame(bytes(5000)))
    await until(lambda: server.switch.port_stats[2].tx_dropped)
    stats = server.switch.port_stats
    print(json.dumps({"same": got == frames, "cut_off": stats[1].rx_cut_off,
                      "dropped": stats[2].tx_dropped, "more": len(received(b))}))
    await server.stop()
asyncio.run(main())
"""

VANISHED = """
async def main():
    server = await started()
    ip("del", "swa")
    await asyncio.sleep(0.3)
    ip("add", "swa", "type", "veth", "peer", "name", "hosta")
    ip("set", "swa", "up")
    ip("set", "hosta", "up")
    a, b = host("hosta"), host("hostb")
    # Of 32 flows each worker has some.
    passed = set()
    def tried():
        for n in range(32):
            a.send(udp_frame(sport=1000 + n))
        passed.update(received(b))
        return len(passed) == 32
    again = await until(tried)
    print(json.dumps({"again": bool(again)}))
    await server.stop()
asyncio.run(main())
"""

LOADED = """
async def main():
    server = await started()
    a, b = host("hosta"), host("hostb")
    smac = server.switch.executor.state.tables["SwitchIngress.smac"]
    known = action_id("SwitchIngress.smac", "known")
    frame, sent, got, changes = udp_frame(smac=7), 0, 0, 0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for _ in range(20):
            a.send(frame)
        sent += 20
        for n in range(50):
            smac.insert((Exact(n + 100), Exact(1)), 0, known, (), 0)
        for n in range(50):
            smac.delete((Exact(n + 100), Exact(1)), 0)
        changes += 100
        got += len(received(b))
        await asyncio.sleep(0)
    stats = server.switch.port_stats
    await until(lambda: stats[1].rx_packets >= sent, 5)
    await asyncio.sleep(0.2)
    got += len(received(b))
    print(json.dumps({"lost": sent - got, "sent": sent, "changes": changes,
                      "faults": server.switch.faults}))
    await server.stop()
asyncio.run(main())
"""


def run_script(tag: str, script: str, workers: int) -> dict[str, int]:
    with namespace(tag, PAIRS) as inside:
        command = [*inside, sys.executable, "-c", COMMON + script]
        command += [str(P4_DIR.parent.parent), str(workers)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, int] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("workers", WORKERS)
def test_frames_of_any_length_pass_whole_and_in_order_or_not_at_all(workers: int) -> None:
    result = run_script("jumbo", JUMBO, workers)
    assert result == {"same": True, "cut_off": 0, "dropped": 1, "more": 0}


@pytest.mark.parametrize("workers", WORKERS)
def test_an_interface_that_comes_back_is_taken_up_again(workers: int) -> None:
    assert run_script("gone", VANISHED, workers)["again"]


@pytest.mark.parametrize("workers", WORKERS)
def test_no_packet_is_lost_while_tables_change(workers: int) -> None:
    result = run_script("load", LOADED, workers)
    assert result["lost"] == 0
    assert result["faults"] == 0
    assert min(result["sent"], result["changes"]) > 1000
