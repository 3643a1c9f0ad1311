"""Several workers: which gets a frame, and that they keep out of each other's way."""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p4softswitch.io.native import PacketIo
from p4softswitch.native.library import MAX_WORKERS, runtime

from .helpers import ethernet, executor, ipv4, udp
from .namespaces import namespace, needs_namespaces
from .workers_traffic import PAIRS

TESTS = Path(__file__).parent.parent
TCP, UDP, GRE = 6, 17, 47
IPV6 = 0x86DD
WORKERS = (2, 3, MAX_WORKERS)


class Spread:
    """Sockets with the filters of workers, and a way to offer all of them a frame.

    Linux runs such a filter on any socket, and here needs no rights for that.
    """

    def __init__(self, pairs: list[tuple[socket.socket, socket.socket]]) -> None:
        self.pairs = pairs

    def takers(self, frame: bytes) -> list[int]:
        """The workers that get a frame."""
        found = []
        for worker, (near, far) in enumerate(self.pairs):
            near.send(frame)
            try:
                assert far.recv(1 << 16) == frame
            except BlockingIOError:
                continue
            found.append(worker)
        return found

    def taker(self, frame: bytes) -> int:
        """The worker that gets a frame, which must be one."""
        (worker,) = self.takers(frame)
        return worker


@contextmanager
def spread(workers: int) -> Iterator[Spread]:
    """The filters of so many workers."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(workers)]
    try:
        for worker, (_, far) in enumerate(pairs):
            far.setblocking(False)
            assert runtime().p4_spread(far.fileno(), worker, workers) == 0
        yield Spread(pairs)
    finally:
        for pair in pairs:
            for end in pair:
                end.close()


def over_ipv4(
    body: bytes, src: int, dst: int, protocol: int = UDP, ident: int = 0, fragment: int = 0
) -> bytes:
    """A frame; `fragment` is the word of flags and offset."""
    packet = bytearray(ipv4(body, src=src, dst=dst, protocol=protocol, ident=ident))
    packet[6:8] = struct.pack(">H", fragment)
    return ethernet(bytes(packet))


def over_ipv6(body: bytes, src: int, dst: int, protocol: int = UDP) -> bytes:
    """A frame between two addresses of one network."""
    ends = b"".join(struct.pack(">QQ", 0x20010DB8 << 32, end) for end in (src, dst))
    head = struct.pack(">IHBB", 6 << 28, len(body), protocol, 64)
    return ethernet(head + ends + body, ethertype=IPV6)


def tagged(frame: bytes, kind: int = 0x8100) -> bytes:
    """A frame with a tag that Linux has left in it."""
    return frame[:12] + struct.pack(">HH", kind, 7) + frame[12:]


@pytest.mark.parametrize("workers", WORKERS)
def test_every_frame_goes_to_exactly_one_worker(workers: int) -> None:
    rng = random.Random(1)
    whole = over_ipv4(udp(b"x" * 9), 1, 2)
    frames = [whole[:n] for n in range(14, len(whole))]
    frames += [tagged(whole)[:n] for n in range(14, len(whole) + 4)]
    six = over_ipv6(udp(b"x"), 1, 2)
    frames += [six[:n] for n in range(14, len(six))]
    frames += [whole[:14] + bytes([n]) + whole[15:] for n in range(256)]  # lengths of the header
    frames += [rng.randbytes(rng.randrange(14, 200)) for _ in range(500)]
    for frame in list(frames[-500:]):
        frames.append(frame[:12] + rng.choice([b"\x08\0", b"\x86\xdd", b"\x81\0"]) + frame[14:])
    with spread(workers) as workers_of:
        for frame in frames:
            assert len(workers_of.takers(frame)) == 1, frame.hex()


@pytest.mark.parametrize("workers", WORKERS)
def test_flows_are_spread_evenly_and_both_ways_of_one_go_to_the_same_worker(workers: int) -> None:
    rng = random.Random(2)
    with spread(workers) as workers_of:
        for make in (over_ipv4, over_ipv6):
            taken: Counter[int] = Counter()
            for n in range(100 * workers):
                # What is usual is harder to spread than what is random.
                src, dst, port = 0x0A000001 + n % 5, 0xC6336401, 1024 + n // 5
                there = make(udp(b"there", sport=port, dport=443), src, dst)
                back = make(udp(rng.randbytes(30), sport=443, dport=port), dst, src)
                worker = workers_of.taker(there)
                assert workers_of.taker(back) == worker
                assert workers_of.taker(tagged(there)) == worker
                assert workers_of.taker(tagged(back, 0x88A8)) == worker
                taken[worker] += 1
            assert set(taken) == set(range(workers))
            assert max(taken.values()) < 160


def test_options_payload_and_all_else_of_the_header_say_nothing_of_the_flow() -> None:
    rng = random.Random(3)
    with spread(8) as workers_of:
        for n in range(200):
            frames = []
            for _ in range(3):
                options = bytes(4 * rng.randrange(11))
                packet = ipv4(
                    udp(rng.randbytes(rng.randrange(100)), sport=1000 + n, dport=53),
                    options=options,
                    ttl=rng.randrange(1, 255),
                    tos=rng.randrange(256),
                    ident=rng.randrange(1 << 16),
                )
                frames.append(ethernet(packet, rng.randrange(9), rng.randrange(9)))
            assert len({workers_of.taker(frame) for frame in frames}) == 1


def test_fragments_and_tunnels_go_by_their_addresses() -> None:
    rng = random.Random(4)
    with spread(8) as workers_of:
        taken = set()
        for dst in range(100, 150):
            frames = [over_ipv4(udp(b"first"), 1, dst, fragment=0x2000, ident=7)]
            for offset in (0x2001, 0x0002, 0x3FFF):
                frames.append(over_ipv4(rng.randbytes(40), 1, dst, ident=7, fragment=offset))
                frames.append(over_ipv4(rng.randbytes(40), dst, 1, ident=8, fragment=offset))
            frames += [over_ipv4(rng.randbytes(40), 1, dst, GRE) for _ in range(4)]
            frames += [over_ipv4(rng.randbytes(3), 1, dst, TCP)]  # without its ports
            assert len({workers_of.taker(frame) for frame in frames}) == 1
            # Don't fragment is no fragment.
            whole = [over_ipv4(udp(b"x"), 1, dst, fragment=flags) for flags in (0, 0x4000)]
            assert len({workers_of.taker(frame) for frame in whole}) == 1
            taken |= {workers_of.taker(frames[0])}
        assert len(taken) == 8


def run_traffic(workers: int, count: int, **environment: str) -> dict[str, int]:
    with namespace(f"workers{workers}", PAIRS) as inside:
        done = subprocess.run(
            [*inside, sys.executable, "-m", "softswitch.workers_traffic", str(workers), str(count)],
            cwd=TESTS,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, int] = json.loads(done.stdout)
    return found


def check_traffic(found: dict[str, int]) -> None:
    # What has not come is counted where it was lost.
    assert found["ran"] + found["missed"] == found["sent"]
    assert found["got"] + found["not_taken"] + found["not_sent"] == found["ran"]
    assert found["ran"] > found["sent"] // 2
    assert found["reordered"] == 0
    # No ticket twice, none left out, and both registers of the block agree in every packet.
    assert found["next_ticket"] == found["ran"] == found["counted"]
    assert found["odd"] == found["ran"] // 2
    assert found["tickets"] == found["got"]
    assert found["wrong_odd"] == 0
    # Entries change as a whole, and have changed often.
    assert found["halves"] == 0
    assert min(found["changes"], found["versions"]) > 20
    if found["got"] == found["ran"]:
        assert found["green"] == 1000
        assert found["copies"] == found["for_controller"] > 100


@pytest.mark.lab
@needs_namespaces
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_flows_stay_in_order_and_what_packets_share_stays_whole(workers: int) -> None:
    check_traffic(run_traffic(workers, 30_000))


@pytest.mark.slow
@pytest.mark.lab
@needs_namespaces
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_under_the_thread_sanitizer(workers: int, tmp_path: Path) -> None:
    found = subprocess.run(
        ["cc", "-print-file-name=libtsan.so"], capture_output=True, text=True, check=False
    )
    library = found.stdout.strip()
    if not Path(library).is_absolute():
        pytest.skip("needs a compiler with the thread sanitizer")
    environment = {
        "P4ALG_CACHE": str(tmp_path / "cache"),
        "P4ALG_CFLAGS": "-O1 -g -fsanitize=thread",
        "LD_PRELOAD": library,
        "TSAN_OPTIONS": "exitcode=66",
    }
    check_traffic(run_traffic(workers, 30_000, **environment))


def test_packets_are_run_by_as_many_threads_as_there_are_workers() -> None:
    before = len(os.listdir("/proc/self/task"))
    io = PacketIo(3)
    try:
        io.use(executor())
        io.start()
        assert len(os.listdir("/proc/self/task")) >= before + 3
    finally:
        io.close()
