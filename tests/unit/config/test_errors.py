"""An expected error is one line and an exit status."""

from __future__ import annotations

import pytest

from p4alg.config.errors import ConfigError, Gathering, Problem, UsageError, UserError, gather


@pytest.mark.parametrize(("kind", "status"), [(UserError, 1), (UsageError, 2), (ConfigError, 2)])
def test_an_error_has_the_exit_status_of_its_kind(kind: type[UserError], status: int) -> None:
    error = kind("c.yaml:3: no")
    assert isinstance(error, UserError)
    assert (str(error), error.status) == ("c.yaml:3: no", status)


def test_a_wrong_file_is_wrong_usage() -> None:
    assert issubclass(ConfigError, UsageError)


def wrong(line: int, text: str) -> ConfigError:
    return ConfigError(f"c.yaml:{line}:1: {text}", Problem(line, 1, text))


def test_joined_errors_are_told_once_each_in_the_order_of_their_places() -> None:
    whole = ConfigError.joined([wrong(9, "b"), wrong(2, "a"), wrong(9, "b"), ConfigError("c: x")])
    assert whole.lines == ("c: x", "c.yaml:2:1: a", "c.yaml:9:1: b")
    assert str(whole) == "\n".join(whole.lines)
    assert [problem.line for problem in whole.problems] == [2, 9]


def test_parts_that_are_right_are_read_where_others_are_wrong() -> None:
    def broken() -> int:
        raise wrong(3, "no")

    of = Gathering()
    assert (of.attempt(broken, 7), of.attempt(lambda: 8, 0), of.failed) == (7, 8, True)
    with pytest.raises(ConfigError, match="no"):
        of.done()
    with pytest.raises(ConfigError) as caught:
        gather([broken, lambda: 1, lambda: 2, broken])
    assert len(caught.value.problems) == 1
    assert gather([lambda: 1, lambda: 2]) == [1, 2]
