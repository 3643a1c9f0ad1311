"""Makes authorities and certificates for tests of TLS, with Debian's openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of a certificate and its key, in PEM."""

    cert: Path
    key: Path


def authority(folder: Path, name: str) -> Certificate:
    """An authority of its own, which signs what `signed` makes."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl("req", "-x509", *_KEY, "-keyout", made.key, "-out", made.cert, *_about(name))
    return made


def signed(folder: Path, name: str, by: Certificate) -> Certificate:
    """A certificate for the name `name` and for 127.0.0.1."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    request, more = folder / f"{name}.csr", folder / f"{name}.ext"
    more.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n", encoding="ascii")
    _openssl("req", *_KEY, "-keyout", made.key, "-out", request, "-subj", f"/CN={name}")
    signing = ("-CA", by.cert, "-CAkey", by.key, "-CAcreateserial", "-extfile", more)
    _openssl("x509", "-req", "-in", request, "-out", made.cert, "-days", "2", *signing)
    return made


def _about(name: str) -> tuple[str, ...]:
    return ("-subj", f"/CN={name}", "-days", "2")


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=30)
