"""Intermediate results that measures and sections share: parts of a snapshot or a run, each computed once."""
