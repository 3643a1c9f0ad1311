"""User agents that talk SIP through the ALG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from p4alg.alg.contract import (
    Detach,
    Edit,
    Endpoint,
    Forward,
    Notice,
    Peer,
    Refuse,
    SessionFacts,
    Step,
    apply_edits,
)
from p4alg.alg.sip.alg import SipDatagramAlg, SipStreamAlg
from p4alg.alg.sip.calls import SipCalls
from p4alg.alg.sip.limits import SipSettings
from tests.unit.alg import gateway
from tests.unit.alg.gateway import SessionGateway

UDP, TCP = 17, 6


def ip(text: str) -> int:
    return int.from_bytes(bytes(int(part) for part in text.split(".")), "big")


def at(text: str) -> Endpoint:
    """An endpoint written ADDRESS:PORT."""
    addr, _, port = text.partition(":")
    return Endpoint(ip(addr), int(port))


PROXY = at("198.51.100.1:5060")


class Nat(gateway.Nat):
    """The gateway behind all sessions of SIP."""

    def media(self) -> set[str]:
        """What is open for media, without the label."""
        return {o.partition(" sip ")[0] for o in self.openings() if "rtp" in o or "rtcp" in o}


class Line:
    """The flow between an inside host and a remote one, with its ALG.

    `out` and `back` carry bytes across it; what comes out is checked to be what
    the contract wants, and is parsed again by whoever answers it.
    """

    def __init__(
        self,
        nat: Nat,
        calls: SipCalls,
        inside: str,
        remote: Endpoint = PROXY,
        proto: int = UDP,
        opened_by_inside: bool = True,
        outside_port: int = 0,
    ) -> None:
        self.nat, self.calls = nat, calls
        self.inside, self.remote, self.proto = at(inside), remote, proto
        self.seen = nat.bind(proto, self.inside, outside_port)
        ends = (self.inside, remote) if opened_by_inside else (remote, self.inside)
        self.peer = Peer.CLIENT if opened_by_inside else Peer.SERVER
        self.facts = SessionFacts(proto, *ends, self.peer, self.seen)
        self.gateway = SessionGateway(self.facts, nat, outlives=True)
        self.datagrams = SipDatagramAlg(self.facts, calls)
        self.stream = SipStreamAlg(self.facts, calls)
        self.steps: list[Step] = []
        self.now = 0.0
        self._held = {peer: b"" for peer in Peer}

    def out(self, data: bytes) -> bytes:
        """The inside host sends; what the outside gets."""
        return self.carry(self.peer, data)

    def back(self, data: bytes) -> bytes:
        """The outside sends; what the inside host gets."""
        return self.carry(self.peer.other, data)

    def carry(self, sender: Peer, data: bytes) -> bytes:
        if self.proto == TCP:
            held = self._held[sender] + data
            steps: Sequence[Step] = self.stream.feed(sender, held, self.gateway, self.now)
            out = self._result(held, steps)
            self._held[sender] = held[sum(step.length for step in steps) :]
            return out
        steps = self.datagrams.receive(sender, data, self.gateway, self.now)
        if not any(isinstance(step, Detach) for step in steps):
            assert sum(step.length for step in steps) == len(data)
        return self._result(data, steps)

    def _result(self, data: bytes, steps: Sequence[Step]) -> bytes:
        self.steps = list(steps)
        out, start = b"", 0
        for step in steps:
            part = data[start : start + step.length]
            start += step.length
            if isinstance(step, Forward):
                check_edits(part, step.edits)
                # Granted at some time: a later message may have ended it by now.
                assert set(step.grants) <= set(range(self.nat.last + 1))
                out += apply_edits(part, step.edits)
            elif isinstance(step, Detach):
                out += data[start:]
        assert start <= len(data)
        return out

    def refusals(self) -> list[str]:
        return [step.reason for step in self.steps if isinstance(step, Refuse)]

    def events(self) -> list[str]:
        told = [step.event for step in self.steps if isinstance(step, Notice)]
        return told + [step.reason for step in self.steps if isinstance(step, Detach)]

    def pinholes(self) -> list[int]:
        return [n for step in self.steps if isinstance(step, Forward) for n in step.grants]

    def tick(self, now: float) -> None:
        self.now = now
        self.datagrams.tick(self.gateway, now)


def check_edits(message: bytes, edits: Sequence[Edit]) -> None:
    """Edits are ordered, within the message, and do not overlap."""
    end = 0
    for edit in edits:
        assert end <= edit.start <= edit.end <= len(message)
        end = edit.end


def world(
    settings: SipSettings | None = None, denied: frozenset[int] = frozenset()
) -> tuple[Nat, SipCalls]:
    return Nat(denied=denied), SipCalls(settings)


def build(start: str, headers: Sequence[tuple[str, str]], body: str = "", kind: str = "") -> bytes:
    """A message with its Content-Length."""
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Type: {kind or 'application/sdp'}")
    return ("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]) + body).encode()


def headers(message: bytes, *names: str) -> list[tuple[str, str]]:
    """The headers of these names (all of them without names)."""
    lines = message.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return [pair for pair in pairs if not names or pair[0] in names]


def header(message: bytes, name: str) -> str:
    found = headers(message, name)
    assert len(found) == 1, (name, message)
    return found[0][1]


def start(message: bytes) -> str:
    return message.partition(b"\r\n")[0].decode()


def body(message: bytes) -> str:
    """The body, as long as Content-Length says, which has to be all of it."""
    text = message.partition(b"\r\n\r\n")[2].decode()
    assert int(header(message, "Content-Length")) == len(text)
    return text


def sdp(addr: str, *media: str, extra: str = "") -> str:
    """A description: `media` are m= lines without "m=", each perhaps with a= lines behind it."""
    lines = ["v=0", f"o=- 1 1 IN IP4 {addr}", "s=-", f"c=IN IP4 {addr}", "t=0 0"]
    for section in media or ("audio 40000 RTP/AVP 0",):
        lines.append(f"m={section}")
    return "\r\n".join(lines) + "\r\n" + extra


class InDialog(TypedDict, total=False):
    """What puts a request into a dialogue (`Agent.request`)."""

    call: str
    to_tag: str


class Other(TypedDict, total=False):
    """What else a request may have (`Agent.request`)."""

    cseq: int
    branch: str
    extra: Sequence[tuple[str, str]]
    to: str
    contact: str | None
    sender: str
    kind: str


class More(InDialog, Other, total=False):
    """All of it."""


class Agent:
    """A user agent: makes requests, and answers what it gets as RFC 3261 section 8.2.6 says."""

    def __init__(self, name: str, where: str, transport: str = "UDP") -> None:
        self.name, self.where, self.transport = name, where, transport
        self.tag = f"tag-{name}"
        self.count = 0
        self.contact = f"<sip:{name}@{where}>"
        if transport == "TCP":
            self.contact = f"<sip:{name}@{where};transport=tcp>"

    @property
    def addr(self) -> str:
        return self.where.partition(":")[0]

    def request(
        self,
        method: str,
        target: str,
        call: str = "",
        to_tag: str = "",
        cseq: int = 0,
        branch: str = "",
        extra: Sequence[tuple[str, str]] = (),
        sdp: str = "",
        to: str = "",
        contact: str | None = None,
        sender: str = "",
        kind: str = "",
    ) -> bytes:
        self.count += 1
        via = f"SIP/2.0/{self.transport} {self.where};rport;branch="
        lines = [
            ("Via", via + (branch or f"z9hG4bK-{self.name}-{self.count}")),
            ("Max-Forwards", "70"),
            ("From", f"{sender or f'<sip:{self.name}@example.com>'};tag={self.tag}"),
            ("To", (to or f"<{target}>") + (f";tag={to_tag}" if to_tag else "")),
            ("Call-ID", call or f"{self.name}-call@{self.addr}"),
            ("CSeq", f"{cseq or self.count} {method}"),
            ("Contact", self.contact if contact is None else contact),
            *extra,
        ]
        lines = [line for line in lines if line[1]]
        return build(f"{method} {target} SIP/2.0", lines, sdp, kind)

    def answer(
        self,
        request: bytes,
        code: int,
        sdp: str = "",
        extra: Sequence[tuple[str, str]] = (),
        contact: str | None = None,
        tag: str | None = None,
    ) -> bytes:
        kept = headers(request, "Via", "Record-Route", "From", "To", "Call-ID", "CSeq")
        mine = self.tag if tag is None else tag
        lines = [
            (
                name,
                f"{value};tag={mine}" if name == "To" and ";tag=" not in value and mine else value,
            )
            for name, value in kept
        ]
        lines.append(("Contact", self.contact if contact is None else contact))
        lines = [line for line in [*lines, *extra] if line[1]]
        return build(f"SIP/2.0 {code} Something", lines, sdp)


class Relay:
    """An outside proxy that stays in between: Via and Record-Route of its own."""

    def __init__(self, where: str = "198.51.100.1:5060") -> None:
        self.where = where
        self.count = 0

    def request(self, request: bytes, target: str = "") -> bytes:
        """The request as the proxy sends it on, to `target` if it knows better."""
        self.count += 1
        head, _, rest = request.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, uri, version = first.split(" ")
        ours = [
            f"Via: SIP/2.0/UDP {self.where};branch=z9hG4bK-relay-{self.count}",
            f"Record-Route: <sip:{self.where};lr>",
        ]
        made = "\r\n".join([f"{method} {target or uri} {version}", *ours, *lines])
        return made.encode() + b"\r\n\r\n" + rest

    def response(self, response: bytes) -> bytes:
        """The response with the proxy's Via taken off."""
        first, *lines = response.split(b"\r\n")
        assert self.where.encode() in lines[0]
        return b"\r\n".join([first, *lines[1:]])
