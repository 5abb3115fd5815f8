"""Pages that are not of one run."""
