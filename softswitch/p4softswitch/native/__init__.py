"""The native part of the switch: its C sources, how they are compiled, and how they are called.

`p4rt.h`, `wide.h` and `v1model.h` are compiled with every program; `runtime.c` and `packet_io.c`
are the runtime, which is the same for all programs.
"""
