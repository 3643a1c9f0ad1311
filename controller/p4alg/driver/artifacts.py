"""Finds the files of the compiled P4 program and checks that they belong together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from p4alg.driver.target import TargetError


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The files of a compiled program: its P4Info, and what its switch loads, such as BMv2 JSON."""

    program: Path
    p4info: Path
    is_shipped: bool = True
    """Whether it is one of p4alg, with a manifest that tells what belongs together."""

    def verify(self) -> None:
        """Raise `TargetError` if a file is missing, or is not the one that the manifest names."""
        do = "reinstall p4alg or run make p4" if self.is_shipped else "correct switch.program"
        for path in (self.program, self.p4info):
            if not path.is_file():
                raise TargetError(f"{path}: not found; {do}")
        if not self.is_shipped:
            return
        manifest = self.program.with_name("manifest.json")
        total = hashlib.sha256()
        try:
            wanted = json.loads(manifest.read_text(encoding="utf-8"))["artifacts_sha256"]
            # p4src/build.py computes the sum in the same way.
            for path in (self.program, self.p4info):
                total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise TargetError(
                f"{manifest}: cannot be read; reinstall p4alg or run make p4"
            ) from None
        if total.hexdigest() != wanted:
            raise TargetError(
                f"{manifest}: is not the manifest of {self.program.name} and {self.p4info.name}; "
                "reinstall p4alg or run make p4"
            )
