"""Builds the Debian package: p4alg in a virtual environment of its own, with all it needs.

    python -m distribution.deb FOLDER

Nothing is downloaded when the package is installed. The environment uses Debian's Python, so the
package is for the Python version and the processor that it was built with.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from email.utils import format_datetime
from importlib.metadata import version
from pathlib import Path

from distribution import completion, manpages
from distribution.commands import built_on

ROOT = Path(__file__).resolve().parents[1]
FILES = Path(__file__).parent / "debian"
PYTHON = "/usr/bin/python3"
HOME = "usr/lib/p4alg"
MAINTAINER = "The p4alg developers <p4alg@localhost>"
_CONFFILES = {
    "etc/p4alg/p4alg.yaml": "p4alg.yaml",
    "etc/default/p4alg-switch": "p4alg-switch.default",
    "etc/default/p4alg-console": "p4alg-console.default",
}
"""Where each goes, by its name in `FILES`."""
_SCRIPTS = ("postinst", "prerm", "postrm")
_UNITS = ("p4alg.service", "p4alg-switch.service", "p4alg-console.service")
_COMPLETION = {
    "bash": "usr/share/bash-completion/completions",
    "zsh": "usr/share/zsh/vendor-completions",
    "fish": "usr/share/fish/vendor_completions.d",
}
_START = f"""\
#!/{HOME}/bin/python -I
import sys

from p4alg.cli import main

sys.exit(main())
"""
_NEEDED = (
    # The compiler is for the embedded switch, which compiles the program that it is given.
    *("libc6", "libstdc++6", "gcc", "libc6-dev"),
    *("iproute2", "passwd", "systemd"),
)
_CONTROL = """\
Package: p4alg
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: {needed}
Recommends: ethtool
Section: net
Priority: optional
Description: NAT and firewall gateway on a P4 data path
 A P4Runtime controller with Application Layer Gateways for FTP, SIP, TFTP,
 PPTP, IKE and RTSP, an embedded P4Runtime switch for it, and a web page, as
 services that run as a user of their own.
"""
_COPYRIGHT = """\
Copyright 2026 The p4alg developers

p4alg is licensed under the Apache License, version 2.0. On Debian systems its
text is in /usr/share/common-licenses/Apache-2.0. The Python packages below
/usr/lib/p4alg have their licences in their .dist-info folders.
"""

_CHANGELOG = """\
p4alg ({version}) bookworm; urgency=medium

  * What changed is in CHANGELOG.md.gz.

 -- {maintainer}  {date}
"""


def build(folder: Path) -> Path:
    """Build the package in `folder`, and return its file."""
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    # Ours, whatever the umask: what is installed is for all to read.
    os.umask(0o022)
    _environment(tree, folder)
    _put(tree / "usr/bin/p4alg", _START, 0o755)
    for place, name in _CONFFILES.items():
        _put(tree / place, (FILES / name).read_text("utf-8"))
    for name in _UNITS:
        _put(tree / "lib/systemd/system" / name, (FILES / name).read_text("utf-8"))
    for kind in ("sysusers", "tmpfiles"):
        text = (FILES / f"p4alg.{kind}").read_text("utf-8")
        _put(tree / f"usr/lib/{kind}.d/p4alg.conf", text)
    for name, text in manpages.pages().items():
        _put_compressed(tree / "usr/share/man/man1" / f"{name}.gz", text)
    for shell, text in completion.scripts().items():
        _put(tree / _COMPLETION[shell] / completion.FILES[shell], text)
    documents = tree / "usr/share/doc/p4alg"
    _put(documents / "copyright", _COPYRIGHT)
    told = {
        "version": version("p4alg"),
        "maintainer": MAINTAINER,
        "date": format_datetime(built_on()),
    }
    _put_compressed(documents / "changelog.gz", _CHANGELOG.format(**told))
    _put_compressed(documents / "CHANGELOG.md.gz", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    for path in sorted((ROOT / "docs").glob("*.md")):
        _put(documents / "docs" / path.name, path.read_text("utf-8"))
    for path in sorted((ROOT / "examples/monitoring").iterdir()):
        _put(documents / "examples" / path.name, path.read_text("utf-8"))
    _put(
        tree / "usr/share/lintian/overrides/p4alg", (FILES / "lintian-overrides").read_text("utf-8")
    )
    _control(tree)
    built = folder / f"p4alg_{version('p4alg')}_{_told('dpkg', '--print-architecture')}.deb"
    _run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, built)
    return built


def _environment(tree: Path, folder: Path) -> None:
    """The virtual environment, as it will be when it is at its place."""
    home = tree / HOME
    _run(PYTHON, "-m", "venv", "--without-pip", "--symlinks", home)
    pins = folder / "pins.txt"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    # What the tests ran with, also of packages that others need.
    pins.write_text(_told(*pip, "freeze", "--exclude-editable"))
    options = ("-q", "--no-compile", "--no-warn-script-location", "-c", pins)
    _run(*pip, "--python", home / "bin/python", "install", *options, f"{ROOT}[console,export]")
    # Nobody activates it, and programs of other packages are none of ours: they name this folder.
    for path in (home / "bin").iterdir():
        if not path.name.startswith("python"):
            path.unlink()
    for path in (home / "include", home / "lib64"):
        path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    for path in home.rglob("direct_url.json"):
        path.unlink()
    for path in (home / "lib").rglob("*"):
        if path.suffix == ".so":
            _run("strip", "--strip-unneeded", path)
        if path.is_file():
            path.chmod(0o755 if path.suffix == ".sh" else 0o644)


def _control(tree: Path) -> None:
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    minor = int(_told(PYTHON, "-c", "import sys; print(sys.version_info.minor)"))
    text = _CONTROL.format(
        version=version("p4alg"),
        maintainer=MAINTAINER,
        architecture=_told("dpkg", "--print-architecture"),
        size=sum(path.stat().st_size for path in files) // 1024,
        needed=", ".join([f"python3 (>= 3.{minor})", f"python3 (<< 3.{minor + 1})", *_NEEDED]),
    )
    _put(tree / "DEBIAN/control", text)
    _put(tree / "DEBIAN/conffiles", "".join(f"/{place}\n" for place in _CONFFILES))
    for name in _SCRIPTS:
        _put(tree / "DEBIAN" / name, (FILES / name).read_text("utf-8"), 0o755)
    sums = [
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}"
        for path in files
        if path.relative_to(tree).parts[0] != "etc"
    ]
    _put(tree / "DEBIAN/md5sums", "\n".join(sorted(sums)) + "\n")


def _put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _put_compressed(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _told(*command: str | Path) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
