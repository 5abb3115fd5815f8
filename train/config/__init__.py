"""Configuration dataclasses, which determine the numbers of a run."""
