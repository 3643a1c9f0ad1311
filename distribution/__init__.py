"""What a package of p4alg is made of: built from the sources, and not installed itself."""
