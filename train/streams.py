"""Named random streams: each use of randomness has its own generator, derived from the run's seed."""

import hashlib

import torch


def stream_seed(seed: int, name: str) -> int:
    """A 63-bit seed for the stream ``name``: the first 8 bytes of SHA-256 of "seed:name"."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") & (2**63 - 1)


def stream(seed: int, name: str) -> torch.Generator:
    """A CPU generator for the stream ``name`` (such as "split", "init" or "batch/3")."""
    return torch.Generator().manual_seed(stream_seed(seed, name))
