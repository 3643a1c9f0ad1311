"""An embedded P4Runtime switch: runs a compiled v1model program on this machine."""
