"""Labs: a gateway and hosts around it, each in a network namespace of its own."""
