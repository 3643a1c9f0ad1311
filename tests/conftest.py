"""How many examples hypothesis tries: few before a commit, many in the whole suite.

`make unit` runs with the profile ``quick``; anything else, CI too, with ``thorough``. A
test that wants another number than its profile's says so by `examples`.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_QUICK_SHARE = 10
_LEAST = 5

# A busy machine is no fault of a test.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("thorough", **_PATIENT)  # type: ignore[arg-type]
settings.register_profile("quick", max_examples=100 // _QUICK_SHARE, **_PATIENT)  # type: ignore[arg-type]
_PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "thorough")
settings.load_profile(_PROFILE)


def examples(thorough: int) -> settings:
    """`thorough` examples in the whole suite, a tenth of them before a commit."""
    quick = max(_LEAST, thorough // _QUICK_SHARE)
    return settings(max_examples=quick if _PROFILE == "quick" else thorough)
