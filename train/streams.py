"""Named random streams: each use of randomness has its own generator, derived from the run's seed."""

import hashlib

import torch
from torch import Tensor

OBEYS = frozenset({"seed"})
"""Settings that this module obeys."""


def stream_seed(seed: int, name: str) -> int:
    """A 63-bit seed for the stream ``name``: the first 8 bytes of SHA-256 of "seed:name"."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") & (2**63 - 1)


def stream(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for the stream ``name`` (such as "split", "init" or "batch/3"); numbers differ from CPU to GPU."""
    return torch.Generator(device).manual_seed(stream_seed(seed, name))


def normal(seed: int, name: str, like: Tensor) -> Tensor:
    """Standard normal numbers of the stream ``name``, in the shape and on the device of ``like``."""
    generator = stream(seed, name, like.device)
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
