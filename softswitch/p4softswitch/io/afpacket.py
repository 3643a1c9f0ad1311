"""AF_PACKET sockets of Linux network interfaces (packet(7)). Needs CAP_NET_RAW."""

from __future__ import annotations

import contextlib
import socket
import struct

from p4softswitch.errors import PortError

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_IGNORE_OUTGOING = 23
_PACKET_MR_PROMISC = 1
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_MREQ = struct.Struct("iHH8s")
_BUFFER = 8 * 1024 * 1024


class InterfacePort:
    """Sockets of one interface in promiscuous mode, which receive nothing until they are bound."""

    def __init__(self, interface: str, count: int = 1) -> None:
        self.interface = interface
        self._index = self._find()
        if self._index is None:
            raise PortError(
                f"interface {interface} does not exist; see 'ip link' for those that do"
            )
        self._sockets: list[socket.socket] = []
        try:
            for _ in range(count):
                self._sockets.append(_opened())
        except PermissionError as exc:
            raise PortError(
                f"no privilege to open {interface}; run as root or give CAP_NET_RAW"
            ) from exc
        except OSError as exc:
            self.close()
            raise PortError(f"cannot open {interface}: {exc.strerror}") from exc

    def _find(self) -> int | None:
        try:
            return socket.if_nametoindex(self.interface)
        except OSError:
            return None

    def bind(self) -> None:
        """Receive and send by the interface; `PortError` if that is not possible."""
        try:
            self._bind()
        except OSError as exc:
            self.close()
            raise PortError(f"cannot use interface {self.interface}: {exc.strerror}") from exc

    def _bind(self) -> None:
        index = socket.if_nametoindex(self.interface)
        membership = _MREQ.pack(index, _PACKET_MR_PROMISC, 0, b"")
        for s in self._sockets:
            s.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
            s.bind((self.interface, _ETH_P_ALL))
        self._index = index

    def rebind(self) -> None:
        """Bind once more if the interface had vanished and is there again."""
        index = self._find()
        if index is not None and index != self._index:
            with contextlib.suppress(OSError):
                self._bind()

    def filenos(self) -> list[int]:
        """File descriptors of the sockets."""
        return [s.fileno() for s in self._sockets]

    def close(self) -> None:
        """Close the sockets."""
        for s in self._sockets:
            s.close()


def _opened() -> socket.socket:
    """A socket that is not bound, with large buffers."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setblocking(False)
    # Linux before 4.20 lacks the option; own frames are then recognised by their type.
    with contextlib.suppress(OSError):
        s.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    for options in (
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
        (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        for option in options:
            with contextlib.suppress(OSError):
                s.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
                break
    return s
