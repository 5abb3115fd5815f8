"""The tables pass: compiled, with a hand-written backward, for one-layer models without layer norm."""
