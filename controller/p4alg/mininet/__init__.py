"""Labs in Mininet: switches, a controller, hosts and topologies for your own Mininet scripts.

It needs Debian's package ``mininet``, which is a package of the system's Python. `make setup`
makes it known to the Python of the checkout. With the system's Python, put the folder
``controller`` on PYTHONPATH; of all that p4alg needs, PyYAML is enough there. Switches and
controllers run with the Python that has the rest: `recorder.interpreter` says which.
"""

from __future__ import annotations

try:
    import mininet  # noqa: F401
except ImportError:
    raise ImportError(
        "Mininet is not installed for this Python: run 'make setup', or install mininet"
    ) from None

from p4alg.config.errors import UserError
from p4alg.mininet.link import shaped
from p4alg.mininet.net import LabNet, running_lab
from p4alg.mininet.nodes import Bmv2Switch, EmbeddedSwitch, LabHost, P4AlgController
from p4alg.mininet.recorder import interpreter
from p4alg.mininet.topo import LabTopo

__all__ = [
    "Bmv2Switch",
    "EmbeddedSwitch",
    "LabHost",
    "LabNet",
    "LabTopo",
    "P4AlgController",
    "UserError",
    "interpreter",
    "running_lab",
    "shaped",
]
