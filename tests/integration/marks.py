"""What tests of labs are marked with, and what they are skipped without."""

from __future__ import annotations

import os
import shutil

import pytest


def needs_lab(*programs: str) -> list[pytest.MarkDecorator]:
    """The tests make network namespaces, and use these programs in them."""
    return [
        pytest.mark.lab,
        pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
        pytest.mark.skipif(
            any(shutil.which(program) is None for program in programs),
            reason=f"needs {', '.join(programs)} on PATH",
        ),
    ]
