"""The running controller: the joining of its parts, its control socket, and a client."""
