"""The optimiser, gradient filters and noise."""
