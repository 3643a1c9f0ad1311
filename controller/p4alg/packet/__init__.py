"""Parses and builds frames: Ethernet, ARP, IPv4, TCP, UDP and ICMP. Pure."""
