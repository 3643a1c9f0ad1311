"""An embedded P4Runtime switch: runs a compiled v1model program on this machine."""

import os

# gRPC reports every failure on stderr by itself, also of those we report; it reads
# this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
