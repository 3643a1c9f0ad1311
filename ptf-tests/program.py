"""The numbers of the P4 program, from the module that p4src/build.py generates.

The controller's package is not installed where PTF runs, so the file is loaded by its path.
"""

import importlib.util
from pathlib import Path

_PATH = Path(__file__).resolve().parents[1] / "controller" / "p4alg" / "p4constants.py"
_spec = importlib.util.spec_from_file_location("p4constants", _PATH)
_numbers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_numbers)

CALL_FLAG = _numbers.CALL_FLAG
CPU_PORT = _numbers.CPU_PORT
Drop = _numbers.Drop
FilterMode = _numbers.FilterMode
PacketOutFlags = _numbers.PacketOutFlags
Punt = _numbers.Punt
SessionFlags = _numbers.SessionFlags
Side = _numbers.Side
