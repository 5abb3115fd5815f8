"""The optimiser, its filters of gradients, and noise."""
