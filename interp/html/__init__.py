"""Blocks and the page that shows them, whatever the figures and texts are about."""
