"""A machine to install on: a copy-on-write copy of this one, with systemd as its first process.

It has namespaces of its own, its network has nothing but lo, and what it writes is in memory only,
so that nothing of it is left when it is gone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = (
    "ip",
    "unshare",
    "nsenter",
    "pivot_root",
    "setpriv",
    "systemctl",
    "/lib/systemd/systemd",
)
GROUP_PREFIX = "p4algg"
_SECONDS = 120
_STARTING = 60
_START = """\
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1"/written "$1"/work "$1"/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/written,workdir=$1/work" "$1"/root
cd "$1"/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
    touch dev/$name
    mount --bind /dev/$name dev/$name
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir run/written run/before
cp "$2" run/
mount --bind -o ro "$1"/written run/written
pivot_root . run/before
umount -l /run/before
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --system --unit=basic.target --log-target=journal
"""


class Machine:
    """A machine that runs."""

    def __init__(self, first: int) -> None:
        self._first = first

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as its root. It fails the test if `check` and its status is not 0."""
        done = subprocess.run(
            ["nsenter", "-t", str(self._first), "-m", "-p", "-n", "-i", "-u", "-C", "-r", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def told(self, *command: str) -> str:
        """What a command writes, which has to succeed."""
        return self.run(*command).stdout.strip()

    def written(self) -> dict[str, str]:
        """What is changed in its file system since it was started: type by path."""
        found = self.told("find", "/run/written", "-printf", "%y %P\\n")
        return {line[2:]: line[0] for line in found.splitlines()}


@contextmanager
def machine(folder: Path, package: Path) -> Iterator[Machine]:
    """A machine while in the context. `package` is in its ``/run``, `folder` is an empty one."""
    group = _groups() / f"{GROUP_PREFIX}{os.getpid()}"
    _remove_groups_of_ended_runs()
    group.mkdir()
    process = subprocess.Popen(
        [
            # When this process is killed, so is the machine.
            *("setpriv", "--pdeathsig", "KILL"),
            *("sh", "-c", 'echo $$ > "$0"/cgroup.procs; exec "$@"', str(group)),
            *("unshare", "-m", "-p", "-n", "-i", "-u", "-C", "--fork", "--kill-child"),
            *("sh", "-c", _START, "sh", str(folder), str(package)),
        ],
        stdin=subprocess.DEVNULL,
    )
    try:
        found = Machine(_first(process))
        _wait(found)
        yield found
    finally:
        process.kill()
        process.wait()
        _remove(group)


def _first(process: subprocess.Popen[bytes]) -> int:
    """The id, seen from here, of the machine's first process once that is systemd."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + _STARTING
    while time.monotonic() < until and process.poll() is None:
        pids = children.read_text().split()
        with suppress(OSError):
            if pids and Path(f"/proc/{pids[0]}/comm").read_text() == "systemd\n":
                return int(pids[0])
        time.sleep(0.05)
    raise AssertionError("the machine does not start")


def _wait(found: Machine) -> None:
    until = time.monotonic() + _STARTING
    said = ""
    while time.monotonic() < until:
        said = found.run("systemctl", "is-system-running", check=False).stdout.strip()
        if said in ("running", "degraded"):
            return
        time.sleep(0.1)
    raise AssertionError(f"the machine does not get up: {said}")


def _groups() -> Path:
    """Where the control groups of this machine are."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return next(Path(line.split()[4]) for line in mounts if " - cgroup2 " in line)


def _remove_groups_of_ended_runs() -> None:
    for group in _groups().glob(f"{GROUP_PREFIX}*"):
        pid = re.sub(r"\D", "", group.name.removeprefix(GROUP_PREFIX))
        if not Path(f"/proc/{pid}").exists():
            _remove(group)


def _remove(group: Path) -> None:
    """Remove a control group and those in it, once the kernel has ended what was in them."""
    with suppress(OSError):
        (group / "cgroup.kill").write_text("1")
    until = time.monotonic() + _STARTING
    while group.exists() and time.monotonic() < until:
        for inner in [*sorted(group.rglob("*/"), reverse=True), group]:
            with suppress(OSError):
                inner.rmdir()
        time.sleep(0.05)


def missing() -> str | None:
    """Why there can be no machine here; None if there can."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    kinds = Path("/proc/filesystems").read_text().split()
    if "overlay" not in kinds or " - cgroup2 " not in Path("/proc/self/mountinfo").read_text():
        return "needs overlay and cgroup2 in the kernel"
    return None
