"""Configs: what determines the numbers of a run."""
