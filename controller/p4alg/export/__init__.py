"""What other systems want to have of a gateway, in their formats.

An exporter is a process of its own and a client of the controller's socket, so that it costs the
controller what a client costs, and a collector that hangs costs it nothing.
"""
