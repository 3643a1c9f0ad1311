"""The switch driver: what the controller needs of a target, and the targets there are.

`target.py` states the interface, `shell.py` runs the engine on whatever keeps it, and
`p4runtime` is the implementation for P4Runtime switches.
"""
