"""Blocks and the page that shows them; no word of the domain."""
