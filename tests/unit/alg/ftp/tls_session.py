"""A TLS session between two real endpoints, in memory."""

from __future__ import annotations

import contextlib
import ssl

from p4alg.alg.contract import Peer

Said = list[tuple[Peer, bytes]]
"""Bytes on the wire, by sender, in order."""


class TlsSession:
    """Anonymous Diffie-Hellman on a curve (TLS 1.2), so that no certificate is needed."""

    def __init__(self) -> None:
        self._incoming = {peer: ssl.MemoryBIO() for peer in Peer}
        self._outgoing = {peer: ssl.MemoryBIO() for peer in Peer}
        self._ends = {peer: self._end(peer) for peer in Peer}

    def _end(self, peer: Peer) -> ssl.SSLObject:
        is_server = peer is Peer.SERVER
        kind = ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT
        context = ssl.SSLContext(kind)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH-AES128-SHA:@SECLEVEL=0")
        return context.wrap_bio(self._incoming[peer], self._outgoing[peer], server_side=is_server)

    def _carry(self) -> Said:
        said: Said = []
        for peer in Peer:
            data = self._outgoing[peer].read()
            if data:
                self._incoming[peer.other].write(data)
                said.append((peer, data))
        return said

    def handshake(self) -> Said:
        """Until both ends are ready."""
        said: Said = []
        for _ in range(10):
            for peer in Peer:
                with contextlib.suppress(ssl.SSLWantReadError):
                    self._ends[peer].do_handshake()
                said += self._carry()
        assert self._ends[Peer.CLIENT].cipher() is not None
        return said

    def say(self, peer: Peer, text: bytes) -> Said:
        """`peer` sends `text`, and the other end reads it."""
        self._ends[peer].write(text)
        said = self._carry()
        got = b""
        while len(got) < len(text):
            got += self._ends[peer.other].read(65536)
        assert got == text
        return said

    def close(self) -> Said:
        """Both ends say that nothing more comes (close_notify)."""
        said: Said = []
        for peer in Peer:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._ends[peer].unwrap()
            said += self._carry()
        return said
