"""Runs a command that serves until it is told to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from p4alg.cli import main

SECONDS = 20.0


def run_until(argv: list[str], is_ready: Callable[[], bool]) -> int:
    """Run a command, send SIGTERM once it is ready; its exit status.

    It is ready when it handles SIGTERM, which would end these tests otherwise, and
    `is_ready` says so.
    """
    before = signal.getsignal(signal.SIGTERM)
    done = threading.Event()

    def stop() -> None:
        for _ in range(int(SECONDS * 100)):
            if done.wait(0.01):
                return
            if signal.getsignal(signal.SIGTERM) is not before and is_ready():
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        return main(argv)
    finally:
        done.set()
        thread.join()
        signal.signal(signal.SIGTERM, before)
