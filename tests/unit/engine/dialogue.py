"""A control connection through the engine: two TCP endpoints, and the switch's part of NAT."""

from __future__ import annotations

from p4alg.alg.contract import Peer
from p4alg.engine import events as ev
from p4alg.engine.tables import FlowKey
from p4alg.packet.checksum import transport_checksum
from p4alg.packet.ipv4 import parse_ipv4, replace_ipv4
from p4alg.packet.tcp import ACK, FIN, RST, SYN, parse_tcp
from tests.unit.engine.harness import IN_PORT, INSIDE, OUT_PORT, REMOTE, SERVER, TCP, Bench
from tests.unit.stream.network import ADDRS, PORTS, End

PORT = b"PORT 10,0,0,11,200,10\r\n"
"""The inside client listens on port 51210."""


class Dialogue:
    """An FTP control connection between 10.0.0.11 and 198.51.100.11.

    The client is inside unless `inside` says otherwise; then the server is,
    behind the static mapping.
    """

    def __init__(self, bench: Bench, inside: Peer = Peer.CLIENT, alg_id: int = 1) -> None:
        self.bench = bench
        self.inside = inside
        self.alg_id = alg_id
        self.ends = {peer: End(peer, 100 + n, b"") for n, peer in enumerate(Peer)}
        self.outputs: list[bytes] = []
        host, peer = (
            (Peer.CLIENT, Peer.SERVER)
            if inside is Peer.CLIENT
            else (
                Peer.SERVER,
                Peer.CLIENT,
            )
        )
        self.key = FlowKey(TCP, INSIDE, PORTS[host], REMOTE, PORTS[peer])
        self._deliver(self.ends[Peer.CLIENT].syn())
        self._deliver(self.ends[Peer.SERVER].syn())

    def again(self) -> None:
        """A new connection between the same endpoints."""
        self.ends = {peer: End(peer, 70000 + n, b"") for n, peer in enumerate(Peer)}
        self._deliver(self.ends[Peer.CLIENT].syn())
        self._deliver(self.ends[Peer.SERVER].syn())

    @property
    def outside(self) -> tuple[int, int]:
        """The inside end as the other sees it."""
        if self.inside is Peer.SERVER:
            return SERVER, 21
        return self.bench.outside_of(TCP, INSIDE, PORTS[Peer.CLIENT])

    def say(self, peer: Peer, text: bytes, size: int | None = None) -> None:
        """`peer` sends `text`, in segments of `size` bytes."""
        end = self.ends[peer]
        for at in range(0, len(text), size or len(text)):
            part = text[at : at + (size or len(text))]
            start = max(end.nxt, 1)
            end.nxt = start + len(part)
            self._deliver(end.frame(ACK, start, part))

    def finish(self, peer: Peer, flags: int = FIN | ACK) -> None:
        """`peer` sends a FIN, or another flag."""
        end = self.ends[peer]
        self._deliver(end.frame(flags, end.nxt))
        end.nxt += 1

    def heard(self, peer: Peer) -> bytes:
        """What `peer` has received since it was last asked."""
        got = bytes(self.ends[peer].got)
        self.ends[peer].got.clear()
        return got

    def client(self, text: bytes, size: int | None = None) -> bytes:
        """The client says something; what the server hears of it."""
        self.say(Peer.CLIENT, text, size)
        return self.heard(Peer.SERVER)

    def server(self, text: bytes, size: int | None = None) -> bytes:
        """The server says something; what the client hears of it."""
        self.say(Peer.SERVER, text, size)
        return self.heard(Peer.CLIENT)

    def _deliver(self, frame: bytes) -> None:
        """To the switch, by the engine, to the other end; pure ACKs cross as they are."""
        sender = Peer.CLIENT if parse_ipv4(frame).src == ADDRS[Peer.CLIENT] else Peer.SERVER
        frame = self.addressed(sender, frame)
        tcp = parse_tcp(parse_ipv4(frame))
        port = IN_PORT if sender is self.inside else OUT_PORT
        if tcp.flags & (SYN | ACK) == SYN and self.key not in self.bench.sessions():
            outs = self.bench.new(frame, port, self.alg_id)
        elif tcp.payload or tcp.flags & (SYN | FIN | RST):
            outs = self.bench.punt(ev.Reason.ALG, frame, port, self.alg_id)
        else:
            return
        for out in outs:
            assert out.egress_port is None
            came = Peer.CLIENT if out.ingress_port == self._port(Peer.CLIENT) else Peer.SERVER
            self.outputs.append(out.frame)
            self.ends[came.other].receive(out.frame)

    def _port(self, peer: Peer) -> int:
        return IN_PORT if peer is self.inside else OUT_PORT

    def addressed(self, sender: Peer, frame: bytes) -> bytes:
        """The ends call themselves and each other by `ADDRS`; put in what they see."""
        packet = parse_ipv4(frame)
        body = bytearray(packet.payload)
        outside = None if sender is self.inside else self.outside
        src = INSIDE if sender is self.inside else REMOTE
        dst = REMOTE if outside is None else outside[0]
        if outside is not None:
            body[2:4] = outside[1].to_bytes(2, "big")
        body[16:18] = b"\0\0"
        body[16:18] = transport_checksum(src, dst, TCP, bytes(body)).to_bytes(2, "big")
        head = bytearray(packet.frame)
        head[26:30], head[30:34] = src.to_bytes(4, "big"), dst.to_bytes(4, "big")
        return replace_ipv4(parse_ipv4(bytes(head)), bytes(body))


def greeted(bench: Bench | None = None, inside: Peer = Peer.CLIENT) -> Dialogue:
    """A connection whose server has said 220."""
    dialogue = Dialogue(bench or Bench(), inside)
    assert dialogue.server(b"220 hi\r\n") == b"220 hi\r\n"
    return dialogue
