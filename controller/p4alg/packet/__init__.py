"""Frames: parsing and building Ethernet, ARP, IPv4, TCP, UDP and ICMP. Pure."""
