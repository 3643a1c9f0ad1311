"""Compiles C to shared objects with the system's compiler, and keeps them in a cache.

The cache is `$P4ALG_CACHE`, else `p4alg` in `$XDG_CACHE_HOME` or `~/.cache`. The name of an object
is a digest of its sources, the compiler's version and its options, so that nothing in it is ever
out of date. The objects that were used last are kept. What is loaded is run, so the folder must
belong to this user and nobody else may write to it.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from p4softswitch.errors import CompilerError

SOURCES = Path(__file__).parent
_COMPILERS = ("cc", "gcc", "clang")
_OPTIONS = (
    "-std=gnu11",
    "-O2",
    "-fPIC",
    "-shared",
    "-D_GNU_SOURCE",
    "-fwrapv",
    "-fno-semantic-interposition",
)
_SECONDS = 120
_KEPT = 64
"""Objects in the cache: of each program and version of the switch that was used lately. They
have 50 KB each."""
_WORK = "build-"


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler, and where what it has compiled is kept."""

    version: str
    """As it tells it: name and version."""
    cache: Path
    kept: bool
    """Whether that folder stays when this process ends."""


def describe() -> Compiler:
    """The compiler that `build` uses, and its cache. Raises `CompilerError` if there is none."""
    _, version = _compiler()
    return Compiler(version.splitlines()[0], *_folder())


def build(name: str, sources: dict[str, str], main: str) -> Path:
    """The shared object of `main`, one of `sources` (file name to text), compiled if need be.

    `name` begins the name of the object. Raises `CompilerError` if there is no compiler, or if it
    fails.
    """
    command, version = _compiler()
    key = hashlib.sha256("\0".join([*command, version]).encode())
    for file, text in sorted(sources.items()):
        key.update(f"\0{file}\0".encode() + text.encode())
    folder, _ = _folder()
    target = folder / f"{name}-{key.hexdigest()[:32]}.so"
    if _is_ours(target):
        with suppress(OSError):
            os.utime(target)
        return target
    _prune(folder)
    with tempfile.TemporaryDirectory(prefix=_WORK, dir=folder) as work:
        for file, text in sources.items():
            (Path(work) / file).write_text(text, encoding="utf-8")
        made = Path(work) / "made.so"
        _run([*command, "-o", made.name, main, "-pthread"], work)
        made.chmod(0o700)
        made.replace(target)
    return target


def _prune(folder: Path) -> None:
    """Delete the objects that were not used for longest, so that there is room for a
    program and the runtime, which are compiled at once, and what killed compilers have left."""
    objects: list[tuple[float, Path]] = []
    for path in folder.iterdir():
        try:
            used = path.lstat().st_mtime
        except OSError:
            continue  # somebody else has just deleted it
        if path.suffix == ".so":
            objects.append((used, path))
        elif path.name.startswith(_WORK) and used < time.time() - 2 * _SECONDS:
            shutil.rmtree(path, ignore_errors=True)
    # Whatever is loaded stays loaded when its file is gone.
    for _, path in sorted(objects)[: max(0, len(objects) - _KEPT + 2)]:
        path.unlink(missing_ok=True)


def runtime_sources() -> dict[str, str]:
    """The files of the runtime, by name."""
    return {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted(SOURCES.iterdir())
        if path.suffix in (".c", ".h")
    }


@cache
def _compiler() -> tuple[list[str], str]:
    """The command with its options, and the version that the compiler tells."""
    wanted = shlex.split(os.environ.get("CC", ""))
    candidates = [wanted] if wanted else [[name] for name in _COMPILERS]
    for candidate in candidates:
        path = shutil.which(candidate[0])
        if path is None:
            continue
        command = [path, *candidate[1:]]
        version = _run([*command, "--version"], None)
        extra = shlex.split(os.environ.get("P4ALG_CFLAGS", ""))
        return [*command, *_OPTIONS, *extra], version
    what = f"'{wanted[0]}' (CC) is not there" if wanted else "there is no cc, gcc or clang"
    raise CompilerError(f"no C compiler: {what}; install one, on Debian with 'apt install gcc'")


def _run(command: list[str], folder: str | None) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CompilerError(f"the C compiler {command[0]} cannot be run: {exc}") from exc
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
        raise CompilerError(f"the C compiler {command[0]} failed: {lines[0]}")
    return done.stdout


@cache
def _folder() -> tuple[Path, bool]:
    """The cache, and whether it stays: it is a folder of this process where there can be none."""
    given = os.environ.get("P4ALG_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        path = Path(given) if given else (Path(base) if base else Path.home() / ".cache") / "p4alg"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        mine = found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not mine:
            raise CompilerError(
                f"{path}, the cache of compiled programs, can be written by others;"
                " make it yours with mode 0700 or name another with P4ALG_CACHE"
            )
        if os.access(path, os.W_OK | os.X_OK):
            return path, True
    except (OSError, RuntimeError):
        pass
    temporary = tempfile.mkdtemp(prefix="p4alg-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return Path(temporary), False


def _is_ours(path: Path) -> bool:
    """Whether a compiled object is there, belongs to this user and nobody else can change it."""
    try:
        found = path.lstat()
    except OSError:
        return False
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not others
