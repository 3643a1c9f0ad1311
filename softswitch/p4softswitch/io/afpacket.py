"""Ports on Linux network interfaces by AF_PACKET sockets (packet(7)). Needs CAP_NET_RAW."""

from __future__ import annotations

import contextlib
import socket
import struct

from p4softswitch.errors import PortError

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_AUXDATA = 8
_PACKET_IGNORE_OUTGOING = 23
_PACKET_MR_PROMISC = 1
_PACKET_OUTGOING = 4
_TP_STATUS_VLAN_VALID = 1 << 4
_TP_STATUS_VLAN_TPID_VALID = 1 << 6
_SO_RCVBUFFORCE = 33
_MREQ = struct.Struct("iHH8s")
_AUXDATA = struct.Struct("IIIHHHH")
_BUFFER = 4 * 1024 * 1024
_FRAME = 65535 + 18


class InterfacePort:
    """One interface in promiscuous mode; non-blocking."""

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self.tx_dropped = 0
        self.rx_errors = 0
        try:
            index = socket.if_nametoindex(interface)
        except OSError as exc:
            raise PortError(
                f"interface {interface} does not exist; see 'ip link' for those that do"
            ) from exc
        try:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as exc:
            raise PortError(
                f"no privilege to open {interface}; run as root or give CAP_NET_RAW"
            ) from exc
        try:
            self._configure(index)
        except OSError as exc:
            self.socket.close()
            raise PortError(f"cannot use interface {interface}: {exc.strerror}") from exc

    def _configure(self, index: int) -> None:
        s = self.socket
        s.setblocking(False)
        s.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        # Linux before 4.20 lacks the option; own frames are then recognised by their type.
        with contextlib.suppress(OSError):
            s.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
            with contextlib.suppress(OSError):
                s.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
                break
        membership = _MREQ.pack(index, _PACKET_MR_PROMISC, 0, b"")
        s.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
        s.bind((self.interface, _ETH_P_ALL))

    def fileno(self) -> int:
        """File descriptor, readable when a frame is there."""
        return self.socket.fileno()

    def receive(self) -> bytes | None:
        """The next frame with its VLAN tag put back; None if there is none now."""
        while True:
            try:
                data, ancillary, _, address = self.socket.recvmsg(_FRAME, 64)
            except (BlockingIOError, InterruptedError):
                return None
            except OSError:
                self.rx_errors += 1  # the interface is down or gone; other ports go on
                return None
            if address[2] != _PACKET_OUTGOING:
                return _with_tag(data, ancillary) if ancillary else data

    def send(self, frame: bytes) -> None:
        """Send a frame; if the interface cannot take it now, it is dropped and counted."""
        try:
            self.socket.send(frame)
        except OSError:
            self.tx_dropped += 1

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def _with_tag(data: bytes, ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """Linux takes the outer VLAN tag out of a frame and reports it beside it."""
    for level, kind, value in ancillary:
        if level == _SOL_PACKET and kind == _PACKET_AUXDATA and len(value) >= _AUXDATA.size:
            status, _, _, _, _, tci, tpid = _AUXDATA.unpack_from(value)
            if status & _TP_STATUS_VLAN_VALID:
                if not status & _TP_STATUS_VLAN_TPID_VALID:
                    tpid = 0x8100
                return data[:12] + struct.pack(">HH", tpid, tci) + data[12:]
    return data
