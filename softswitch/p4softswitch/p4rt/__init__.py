"""The P4Runtime side of the switch. Reaches the state of packets only by `executor.interface`."""
