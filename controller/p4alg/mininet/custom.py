"""For ``mn --custom``: our switches, controller, host and topologies by the names that `mn` takes.

``mn --custom controller/p4alg/mininet/custom.py --topo p4alg,office --switch p4alg
--controller p4alg``
"""

from __future__ import annotations

from p4alg.mininet import Bmv2Switch, EmbeddedSwitch, LabHost, LabTopo, P4AlgController

switches = {"p4alg": EmbeddedSwitch, "bmv2": Bmv2Switch}
controllers = {"p4alg": P4AlgController}
hosts = {"p4alg": LabHost}
topos = {"p4alg": LabTopo}
