"""Loss terms, one per file, and the sum of weighted terms over a pyramid."""
