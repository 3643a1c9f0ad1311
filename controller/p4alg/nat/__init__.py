"""Bindings between inside and outside endpoints: which outside port an endpoint gets. Pure."""
