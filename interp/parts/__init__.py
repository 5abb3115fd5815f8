"""What measures and sections share: parts of a snapshot, each computed once."""
