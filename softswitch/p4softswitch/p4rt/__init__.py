"""The P4Runtime face of the switch. Reaches packets' state only through `executor.interface`."""
