"""Who did what by the console: JSON lines in a file of mode 0600, the last ones in memory too."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path

from p4alg.config.errors import UserError

MAX_SHOWN = 1000
"""The most records that are shown. The file keeps all."""

Record = dict[str, str]


class Audit:
    """The records in the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.records: deque[Record] = deque(maxlen=MAX_SHOWN)
        """The last ones, oldest first."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(self._open(os.O_RDONLY | os.O_CREAT), encoding="utf-8") as file:
                for line in file:
                    self._take(line)
        except OSError as error:
            raise UserError(f"cannot use {path}: {error.strerror}; use sudo") from None

    def _take(self, line: str) -> None:
        try:
            record = json.loads(line)
        except ValueError:
            # The end of a line that a full disk has cut.
            return
        if isinstance(record, dict):
            self.records.append({str(key): str(value) for key, value in record.items()})

    def _open(self, flags: int) -> int:
        return os.open(self._path, flags | os.O_CLOEXEC, 0o600)

    def write(self, record: Record) -> None:
        """Keep a record. Raises `UserError` if the file does not take it."""
        self.records.append(record)
        line = json.dumps(record).encode() + b"\n"
        try:
            file = self._open(os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        except OSError as error:
            raise UserError(
                f"cannot write {self._path}: {error.strerror}; nothing is changed without a record"
            ) from None
