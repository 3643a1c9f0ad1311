"""Packet I/O: Linux interfaces, pcap files, and callables inside one process."""
