"""Reads the section `switch`: where the P4Runtime switch is, and how the two know each other."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from p4alg.config.source import Item

PROGRAMS = ("standard", "large")
"""The variants of the P4 program, the default first; `artifacts.PROGRAMS` has their places."""
UNIX = "unix:"
_LONGEST_PATH = 107
"""Bytes of a path that fit into a socket address (unix(7))."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files (PEM) for TLS with the switch."""

    ca: Path
    """Who has signed the switch's certificate."""
    cert: Path | None = None
    """The controller's own certificate, for a switch that wants one."""
    key: Path | None = None
    """The key of `cert`."""
    name: str = ""
    """The name in the switch's certificate, if it is not the host of the address."""


@dataclass(frozen=True, slots=True)
class Switch:
    """The P4Runtime switch: its address, device id, and the variant of the program it runs."""

    grpc: str = f"{UNIX}/run/p4alg/p4runtime.sock"
    """``unix:/PATH`` or ``HOST:PORT``."""
    device_id: int = 1
    program: str = PROGRAMS[0]
    """A variant of `PROGRAMS`, or the absolute path of the folder of another program."""
    tls: Tls | None = None


def is_address(text: str) -> bool:
    """Whether a text is ``unix:/PATH`` or ``HOST:PORT``."""
    if text.startswith(UNIX):
        path = text.removeprefix(UNIX)
        return path.startswith("/") and len(os.fsencode(path)) <= _LONGEST_PATH
    return is_host_port(text)


def is_host_port(text: str) -> bool:
    """Whether a text is ``HOST:PORT``."""
    host, _, port = text.rpartition(":")
    return bool(host) and bool(re.fullmatch(r"[0-9]{1,5}", port)) and 1 <= int(port) <= 65535


def read_switch(item: Item | None) -> Switch:
    """The section, with its defaults where it is silent."""
    keys = item.mapping(optional=("grpc", "device_id", "program", "tls")) if item else {}
    default = Switch()
    grpc = keys["grpc"].text() if "grpc" in keys else default.grpc
    if not is_address(grpc):
        raise keys["grpc"].error(f"'{grpc}' is not HOST:PORT or unix:/PATH")
    low, high = 1, (1 << 63) - 1
    device = keys["device_id"].integer(low, high) if "device_id" in keys else default.device_id
    program = _program(keys["program"]) if "program" in keys else default.program
    tls = _read_tls(keys["tls"], grpc) if "tls" in keys else None
    return Switch(grpc, device, program, tls)


def _program(item: Item) -> str:
    """A variant, or the folder of another program, whose name has a slash in it."""
    text = item.text()
    if "/" not in text:
        return item.choice(PROGRAMS)
    folder = Path(item.file).parent / text
    if not folder.is_dir():
        raise item.error(f"{folder} is no folder: give that of P4Info and program, or a variant")
    return str(folder.resolve())


def _read_tls(item: Item, grpc: str) -> Tls:
    keys = item.mapping(required=("ca",), optional=("cert", "key", "name"))
    if grpc.startswith(UNIX):
        raise item.error(f"TLS is for HOST:PORT, and switch.grpc is {grpc}")
    if ("cert" in keys) != ("key" in keys):
        raise item.error("give cert and key together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca = _file(keys["ca"])
    try:
        context.load_verify_locations(ca)
    except (ssl.SSLError, OSError):
        raise keys["ca"].error(f"{ca} holds no certificates (PEM)") from None
    name = keys["name"].text() if "name" in keys else ""
    if "cert" not in keys:
        return Tls(ca, name=name)
    cert, key = _file(keys["cert"]), _file(keys["key"])
    try:
        context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError):
        raise keys["cert"].error(f"{cert} and {key} are no certificate and its key (PEM)") from None
    return Tls(ca, cert, key, name)


def _file(item: Item) -> Path:
    """A file that can be read; its name is relative to the folder of the configuration."""
    path = Path(item.file).parent / item.text()
    try:
        path.read_bytes()
    except OSError as error:
        raise item.error(f"cannot read {path}: {error.strerror}") from None
    return path.resolve()
