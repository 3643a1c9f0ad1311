"""Aborted transfers with urgent data, against proftpd in a lab (F2)."""

from __future__ import annotations

import os
import shutil

import pytest

from p4alg.config.errors import UserError
from peers import proftpd
from tests.integration.conftest import Lab

SERVER = "198.51.100.11"
SIZE = 3_000_000


def _missing() -> str:
    try:
        proftpd.require()
    except UserError as error:
        return str(error)
    return "" if shutil.which("ip") else "needs ip on PATH"


pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(bool(_missing()), reason=_missing() or "nothing is missing"),
]


@pytest.fixture(scope="module")
def lab(nat_lab: Lab) -> Lab:
    proftpd.serve("outside1", SERVER, SIZE)
    return nat_lab


@pytest.mark.parametrize("signals", [False, True], ids=["urgent-ABOR", "telnet-signals"])
def test_F2_after_aborts_with_urgent_data_the_connection_still_serves(
    lab: Lab, signals: bool
) -> None:
    fetched, said = proftpd.abort_and_fetch("inside1", SERVER, signals=signals)
    assert fetched == SIZE, said
    assert lab.counter("alg.ftp.server.refused.no-request") == 0
