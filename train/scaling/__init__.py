"""Simulations of the solvable model of feature learning and scaling laws: ``python -m train.scaling NAME``."""
