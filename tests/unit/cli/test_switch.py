"""`p4alg switch` is the embedded switch in the foreground."""

from __future__ import annotations

import re

import pytest

from p4alg.cli import main
from tests.unit.cli.signalling import run_until


def test_it_serves_until_it_is_told_to_stop(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_until(["switch", "--grpc", "127.0.0.1:0"], lambda: True) == 0
    said = capfd.readouterr().out
    assert re.fullmatch(r"p4softswitch: ready, grpc 127.0.0.1:\d+, ports none\n", said)


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["-i", "nonsense"], 2),
        (["--grpc", "nowhere"], 2),
        (["--p4info", "/nosuch"], 2),
        # An address that no interface has.
        (["--grpc", "192.0.2.1:9559"], 1),
    ],
)
def test_what_it_cannot_do_is_one_line(
    argv: list[str], status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["switch", *argv]) == status
    said = capfd.readouterr()
    assert said.out == ""
    assert [line for line in said.err.splitlines() if line.startswith("p4softswitch: ")]
