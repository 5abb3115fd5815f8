"""Tasks: rows of tokens with their answers and split, and the batches drawn from them."""
