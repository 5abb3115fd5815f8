"""The layers pass: compiled, with a hand-written backward, for models with several layers or layer norms."""
