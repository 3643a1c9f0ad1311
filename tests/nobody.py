"""An unprivileged user, for tests of what others of the machine can do."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys

import pytest

NOBODY = 65534
"""The user id of nobody, and the id of its group."""
_SECONDS = 30.0


@functools.cache
def interpreter_of_nobody() -> tuple[str, str]:
    """A Python that an unprivileged user can run p4alg with, and its PYTHONPATH.

    That of a virtual environment may live in a home directory which only its
    owner can enter; the system's own of the same version does as well.
    """
    path = os.pathsep.join(p for p in sys.path if p and not p.startswith(sys.base_prefix + "/"))
    system = shutil.which(f"python3.{sys.version_info.minor}", path=os.defpath)
    for python in filter(None, (sys.executable, system)):
        try:
            probe = subprocess.run(
                [python, "-c", "import p4alg.cli"],
                env={"PYTHONPATH": path},
                cwd="/",
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except OSError:
            continue
        if probe.returncode == 0:
            return python, path
    pytest.skip("needs a Python and a checkout that user nobody can read")
