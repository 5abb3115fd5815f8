"""Models that others trained, made into runs: one layout a file."""
