"""``python -m p4alg.lab.tagger TRUNK VLAN TAP``: a VLAN interface where the kernel has none.

Frames that are sent on the interface TAP leave by TRUNK with the VLAN's tag (IEEE 802.1Q), and
frames that come with that tag are received on TAP without it. All others are left alone. For
labs: each frame is copied by this program. It ends with the lab.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import socket
import struct
import sys
from collections.abc import Sequence

_TAG = 0x8100
"""The Ethertype of a VLAN tag."""
_MACS = 12
"""Bytes of a frame in front of the tag."""
_ID = 0x0FFF
"""Of the two bytes behind the Ethertype, those that are the VLAN's number."""
_ETH_P_ALL = 3
_SOL_PACKET, _ADD_MEMBERSHIP, _AUXDATA = 263, 1, 8
_PROMISCUOUS = 1
_OUTGOING = 4
"""The type of a packet that this machine itself sends (packet(7))."""
_VLAN_VALID = 1 << 4
"""Of the status in the auxiliary data: the kernel has taken a tag off the frame."""
_AUX = struct.Struct("IIIHHHH")
_SET_INTERFACE = 0x400454CA
"""TUNSETIFF."""
_TAP, _NO_HEADER = 2, 0x1000
_FRAME = 65535 + 18
_BURST = 64
"""Frames taken from one side before the other has its turn."""


def tag(frame: bytes, vlan: int) -> bytes:
    """An untagged frame with the tag of a VLAN."""
    return frame[:_MACS] + struct.pack("!HH", _TAG, vlan) + frame[_MACS:]


def untag(frame: bytes, vlan: int) -> bytes | None:
    """A frame with the tag of that VLAN, without it; None for any other frame."""
    if len(frame) < _MACS + 4 or frame[_MACS : _MACS + 2] != _TAG.to_bytes(2, "big"):
        return None
    if int.from_bytes(frame[_MACS + 2 : _MACS + 4], "big") & _ID != vlan:
        return None
    return frame[:_MACS] + frame[_MACS + 4 :]


def _open_tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    wanted = struct.pack("16sH22x", name.encode(), _TAP | _NO_HEADER)
    fcntl.ioctl(tap, _SET_INTERFACE, wanted)
    return tap


def _open_trunk(name: str) -> socket.socket:
    trunk = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    trunk.setblocking(False)
    trunk.setsockopt(_SOL_PACKET, _AUXDATA, 1)
    member = struct.pack("iHH8s", socket.if_nametoindex(name), _PROMISCUOUS, 0, b"")
    trunk.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, member)
    trunk.bind((name, _ETH_P_ALL))
    return trunk


def _receive(trunk: socket.socket, vlan: int) -> bytes | None:
    """The next frame without its tag; empty if it is not of the VLAN. None if there is none."""
    try:
        frame, ancillary, _, address = trunk.recvmsg(_FRAME, 64)
    except BlockingIOError:
        return None
    if address[2] == _OUTGOING:
        return b""
    for _, kind, data in ancillary:
        if kind == _AUXDATA and len(data) >= _AUX.size:
            status, _, _, _, _, info, _ = _AUX.unpack(data[: _AUX.size])
            if status & _VLAN_VALID:
                return frame if info & _ID == vlan else b""
    return untag(frame, vlan) or b""


def _carry(trunk: socket.socket, vlan: int, tap: int) -> None:
    with selectors.DefaultSelector() as ready:
        ready.register(trunk, selectors.EVENT_READ)
        ready.register(tap, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                for _ in range(_BURST):
                    # An interface that is down, or whose queue is full, loses frames as a wire
                    # would. The lab's end is that of this program.
                    try:
                        if key.fileobj is trunk:
                            inbound = _receive(trunk, vlan)
                            if inbound is None:
                                break
                            if inbound:
                                os.write(tap, inbound)
                        else:
                            trunk.send(tag(os.read(tap, _FRAME), vlan))
                    except OSError:
                        break


def main(argv: Sequence[str]) -> int:
    """Tag frames until it is ended."""
    trunk, vlan, tap = argv
    _carry(_open_trunk(trunk), int(vlan), _open_tap(tap))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
