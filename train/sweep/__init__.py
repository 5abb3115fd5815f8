"""Sweeps: ``python -m train.sweep SPEC.toml`` trains a grid of runs, on this machine, a cluster or a job array."""
