"""How a channel to a P4Runtime switch is made, so that both ends know who the other is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import finsy as fy
from finsy.grpcutil import GRPCCredentialsTLS

from p4alg.driver.target import TargetError

_UNIX = "unix:"
# What gRPC says when TLS fails, and what that means. It has no codes for it.
_TLS_FAILURES = (
    ("Hostname Verification", "the switch's certificate is for another name; correct the address, "
     "or give its name as switch.tls.name"),
    ("CERTIFICATE_VERIFY_FAILED", "the switch's certificate is not of the authority in "
     "switch.tls.ca; correct that, or find out who answers there"),
    ("WRONG_VERSION_NUMBER", "the switch does not use TLS; give it a certificate, "
     "or remove switch.tls"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tls:
    """Files (PEM) for TLS: the switch's authority, our own certificate and its key, if any.

    `name` is that in the switch's certificate, if it is not the host of the address.
    """

    ca: Path
    cert: Path | None = None
    key: Path | None = None
    name: str = ""

    def credentials(self) -> GRPCCredentialsTLS:
        """The form of the library. `TargetError` if a file cannot be read."""
        try:
            ca, cert, key = (
                None if file is None else file.read_bytes()
                for file in (self.ca, self.cert, self.key)
            )
        except OSError as error:
            raise TargetError(f"cannot read {error.filename}: {error.strerror}") from None
        return GRPCCredentialsTLS(
            cacert=ca, cert=cert, private_key=key, target_name_override=self.name
        )


def refuse_strangers(address: str) -> None:
    """Raise `TargetError` if a Unix socket belongs to a user who is neither we nor root.

    In a folder that others may write to, such a user could pretend to be the switch.
    """
    owner = find(address)
    if owner not in (None, 0, os.geteuid()):
        raise TargetError(
            f"{address}: belongs to user {owner}, who is not to be trusted with the switch; "
            "start the switch as root or as this user"
        )


def find(address: str) -> int | None:
    """The user id of the owner of a Unix socket; None if the address is no such socket's.

    Raises `TargetError` if there is none at that path.
    """
    if not address.startswith(_UNIX):
        return None
    try:
        return os.stat(address.removeprefix(_UNIX)).st_uid
    except OSError as error:
        raise TargetError(
            f"{address}: {error.strerror}; start the switch or correct the address"
        ) from None


def tls_failure(error: fy.P4ClientError, tls: Tls | None) -> str | None:
    """What is wrong with TLS, if that may be why the switch cannot be used; else None."""
    said = error.message
    for mark, meaning in _TLS_FAILURES:
        if mark in said:
            return meaning
    if "Socket closed" not in said:
        return None
    if tls is None:
        return "the switch ends the connection; it may want TLS: give its files as switch.tls"
    return "the switch wants a certificate of its own authority; correct switch.tls.cert and key"
