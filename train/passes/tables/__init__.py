"""The compiled pass for one layer without norm, from tables over (position, token), its gradient written by hand."""
