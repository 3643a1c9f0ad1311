"""What holds where nothing is said, for those who need no more of the engine."""

from __future__ import annotations

DEFAULT_ORGANISATION = "default"
"""The name of the only organisation where none is configured. It has the number 0."""
