"""An expected error is one line and an exit status."""

from __future__ import annotations

import pytest

from p4alg.config.errors import ConfigError, UsageError, UserError


@pytest.mark.parametrize(("kind", "status"), [(UserError, 1), (UsageError, 2), (ConfigError, 2)])
def test_an_error_has_the_exit_status_of_its_kind(kind: type[UserError], status: int) -> None:
    error = kind("c.yaml:3: no")
    assert isinstance(error, UserError)
    assert (str(error), error.status) == ("c.yaml:3: no", status)


def test_a_wrong_file_is_wrong_usage() -> None:
    assert issubclass(ConfigError, UsageError)
