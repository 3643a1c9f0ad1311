"""Application Layer Gateways: sans-IO protocol machines (see `contract`)."""
