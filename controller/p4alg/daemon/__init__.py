"""The running controller: its composition, its Unix socket, and clients of that."""
