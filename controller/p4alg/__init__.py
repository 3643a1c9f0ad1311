"""The p4alg controller: NAT engine, ALGs, P4Runtime switch driver and command line."""

import os

# gRPC reports every failure on stderr by itself, also of those we report; it reads
# this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
