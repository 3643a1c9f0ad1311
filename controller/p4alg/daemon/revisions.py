"""Keeps every configuration that was committed, with who, when and why.

In a directory: a YAML file for each revision (`000012.yaml`), and `journal.jsonl` with one JSON
object a line for each. The last `MAX_KEPT` are kept. A commit also replaces the configuration
file. All that needs room on the disk is written beside the old files first, and then takes their
places, so that a full disk changes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from p4alg.config.errors import UserError

MAX_KEPT = 200
JOURNAL = "journal.jsonl"
MAX_WHY = 500
"""The most characters of a reason."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A configuration that was committed. `when` is in UTC, as in ISO 8601."""

    revision: int
    who: str
    when: str
    why: str
    changes: tuple[str, ...] = ()
    """What it has changed, a line each."""


class Revisions:
    """The revisions in a directory. Raises `UserError` in one line if it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Revision]:
        """Every revision that is kept, the oldest first; none if there is no directory yet."""
        path = self._folder / JOURNAL
        if self._folder.is_file():
            raise UserError(
                f"{self._folder} is a file: give control.state a directory, or remove the file "
                "(an earlier p4alg kept what 'p4alg alg' changed there, which is not read any more)"
            )
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {path}: {_why(error)}; correct that") from None
        return [_revision(path, number, line) for number, line in enumerate(lines, 1)]

    def text(self, revision: int) -> str:
        """The text of a revision."""
        path = self._file(revision)
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UserError(f"no revision {revision}: see 'p4alg config history'") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {path}: {_why(error)}") from None

    def add(self, revision: Revision, text: str, file: Path | None = None) -> Revision:
        """Keep one more revision, with the next number; with `file` the text goes there too.

        All or nothing: if it fails, what was there is still there.
        """
        kept = self.all()
        revision = replace(revision, revision=kept[-1].revision + 1 if kept else 1)
        kept = [*kept, revision][-MAX_KEPT:]
        journal = "".join(json.dumps(asdict(one)) + "\n" for one in kept)
        own, target = self._file(revision.revision), None if file is None else file.resolve()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            wanted = [(own, text), (self._folder / JOURNAL, journal)]
            _write_all(wanted if target is None else [*wanted, (target, text)])
        except OSError as error:
            where = error.filename or self._folder
            raise UserError(
                f"cannot write {where}: {_why(error)}; nothing was changed: correct that, then "
                "run the command again"
            ) from None
        self._forget_before(kept[0].revision)
        return revision

    def leftover(self) -> Path | None:
        """The file beside it in which an earlier p4alg kept what `alg` commands changed."""
        path = self._folder.parent / "state.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return path if isinstance(raw, dict) and {"version", "algs"} <= set(raw) else None

    def _file(self, revision: int) -> Path:
        return self._folder / f"{revision:06}.yaml"

    def _forget_before(self, first: int) -> None:
        for path in self._folder.glob("[0-9]*.yaml"):
            if path.stem.isdecimal() and int(path.stem) < first:
                with suppress(OSError):
                    path.unlink()


def _revision(path: Path, number: int, line: str) -> Revision:
    try:
        raw = json.loads(line)
        return Revision(
            int(raw["revision"]),
            str(raw["who"]),
            str(raw["when"]),
            str(raw["why"]),
            tuple(str(change) for change in raw["changes"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path}:{number}: this line is damaged: correct or remove it") from None


def _write_all(wanted: Sequence[tuple[Path, str]]) -> None:
    """Write texts beside their files, and put all of them in place when all are written.

    A file keeps its mode and its owner. Raises OSError with the name of the file, and then none
    has changed.
    """
    parts = [(path, path.with_name(f".{path.name}.part")) for path, _ in wanted]
    try:
        for (path, part), (_, text) in zip(parts, wanted, strict=True):
            with _named(path):
                _write(path, part, text)
        _replace(parts)
    finally:
        for _, part in parts:
            with suppress(OSError):
                part.unlink()


def _write(path: Path, part: Path, text: str) -> None:
    with part.open("w", encoding="utf-8") as out:
        with suppress(FileNotFoundError):
            known = path.stat()
            os.fchmod(out.fileno(), known.st_mode & 0o7777)
            if (known.st_uid, known.st_gid) != (os.geteuid(), os.getegid()):
                # Only root may give a file away. Whoever else may write here owns it then.
                with suppress(PermissionError):
                    os.fchown(out.fileno(), known.st_uid, known.st_gid)
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def _replace(parts: Sequence[tuple[Path, Path]]) -> None:
    done: list[tuple[Path, Path | None]] = []
    try:
        for path, part in parts:
            with _named(path):
                done.append((path, _aside(path)))
                part.replace(path)
    except OSError:
        for path, old in reversed(done):
            with suppress(OSError):
                path.unlink() if old is None else old.replace(path)
        raise
    for path, old in done:
        with suppress(OSError):
            if old is not None:
                old.unlink()
            _sync(path.parent)


def _aside(path: Path) -> Path | None:
    """A second name of a file, by which it can come back; None if it is not there."""
    old = path.with_name(f".{path.name}.old")
    old.unlink(missing_ok=True)
    try:
        os.link(path, old)
    except FileNotFoundError:
        return None
    return old


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors name the file that somebody knows, and not the part of it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _why(error: OSError | UnicodeDecodeError) -> str:
    return "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error.strerror)
