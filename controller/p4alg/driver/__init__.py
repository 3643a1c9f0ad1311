"""The switch driver: the interface between the controller and a switch, and its implementations.

`target.py` states the interface. `shell.py` runs the engine on any target that keeps it.
`p4runtime` is the implementation for P4Runtime switches.
"""
