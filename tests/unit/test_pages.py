"""How the commands of a page are read, and their output compared."""

from __future__ import annotations

import pytest

from tests.integration.pages import Command, commands, missing

PAGE = """\
text
```console
$ make it
made 7
mininet> links
ok
$ next
```
```sh
not run
```
"""


def test_commands_come_with_what_is_typed_and_shown() -> None:
    assert [*commands(PAGE)] == [
        Command("make it", ["links"], ["made 7", "ok"]),
        Command("next"),
    ]


@pytest.mark.parametrize(
    ("shown", "output"),
    [
        (["a", "c"], "a\nb\nc\n"),
        (["tcp  10.0.0.11:4 N"], "mininet> tcp 10.0.0.11:55555   N and more\n"),
        (["took 0.25 s"], "took 13.1 s\n"),
        (["PORT 10,0,0,11,186,35"], "PORT 10,0,0,11,1,2\n"),
    ],
)
def test_what_differs_from_run_to_run_is_no_difference(shown: list[str], output: str) -> None:
    assert missing(Command("x", [], shown), output) == ""


@pytest.mark.parametrize(
    ("shown", "output", "first"),
    [
        (["a"], "", "a"),
        (["b", "a"], "a\nb\n", "a"),
        (["tcp 10.0.0.11:4"], "tcp 203.0.113.5:4\n", "tcp 10.0.0.11:4"),
        (["PORT 10,0,0,11,186,35"], "PORT 203,0,113,5,1,2\n", "PORT 10,0,0,11,186,35"),
        (["a", "a"], "a\n", "a"),
    ],
)
def test_what_does_not_come_is_told(shown: list[str], output: str, first: str) -> None:
    assert missing(Command("x", [], shown), output) == first
