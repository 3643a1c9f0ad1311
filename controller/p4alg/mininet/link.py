"""Links of Mininet with limited bandwidth, delay and loss, as far as the kernel has them."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

from mininet.link import TCLink
from mininet.log import warn

NO_NETEM = "no netem in this kernel: links have their bandwidth, but neither delay nor loss\n"


@functools.cache
def has_netem() -> bool:
    """Whether the kernel can delay and lose packets (tc-netem(8)); asked in a new namespace."""
    if shutil.which("tc") is None:
        return False
    asked = "tc qdisc add dev lo root netem delay 1ms"
    done = subprocess.run(["unshare", "-n", "sh", "-c", asked], capture_output=True, check=False)
    return done.returncode == 0


def shaped(
    bw: float | None = None,
    delay: str | None = None,
    loss: float | None = None,
    **more: Any,
) -> Callable[..., TCLink]:
    """A link for Mininet: `bw` in Mbit/s, `delay` such as ``20ms``, `loss` in percent.

    `more` is passed on to Mininet's ``TCLink``. Where the kernel has no netem, delay and loss are
    left out, and a line on stderr says so.
    """
    options: dict[str, Any] = {"bw": bw, **more}
    if delay is not None or loss is not None:
        if has_netem():
            options.update(delay=delay, loss=loss)
        else:
            warn(NO_NETEM)
    # Mininet would switch checksum offload on, which leaves checksums to nobody here.
    return functools.partial(TCLink, txo=False, rxo=False, **options)
