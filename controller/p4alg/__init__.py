"""The p4alg controller: NAT engine, ALGs, P4Runtime switch driver and command line."""
