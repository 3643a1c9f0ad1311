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
CLAIM_METER_BITS = _numbers.CLAIM_METER_BITS
CPU_PORT = _numbers.CPU_PORT
FRAGMENT_BITS = _numbers.FRAGMENT_BITS
GRACE_TICKS = _numbers.GRACE_TICKS
PINHOLE_BITS = _numbers.PINHOLE_BITS
PUNT_CLASSES = _numbers.PUNT_CLASSES
SESSION_BITS = _numbers.SESSION_BITS
SLOT_BITS = _numbers.SLOT_BITS
SOURCE_METER_BITS = _numbers.SOURCE_METER_BITS
TICK_SHIFT = _numbers.TICK_SHIFT
WINDOW_BITS = _numbers.WINDOW_BITS
Drop = _numbers.Drop
FilterMode = _numbers.FilterMode
PacketOutFlags = _numbers.PacketOutFlags
Phase = _numbers.Phase
Punt = _numbers.Punt
SessionFlags = _numbers.SessionFlags
Side = _numbers.Side
