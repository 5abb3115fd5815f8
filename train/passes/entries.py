"""The distinct (position, token) pairs of a task's rows, computed once per task."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class Plan:
    """The distinct (position, token) pairs of some rows, and the pair at each position of each row."""

    table_tokens: Int[Tensor, " pairs"]
    table_positions: Int[Tensor, " pairs"]
    index: Int[Tensor, "rows n_ctx"]
    """Pair at each position of each row, as an index into the table."""
    query_entries: Int[Tensor, " queries"]
    """Pairs that are queries of layer 0: those at the answers, or all if there are more layers."""
    query_index: Int[Tensor, "rows n_queries"]
    """Index into ``query_entries`` of each query position."""
    answer_positions: tuple[int, ...]

    def select(self, rows: Int[Tensor, " chosen"]) -> "Plan":
        """The plan for some of the rows."""
        return replace(self, index=self.index[rows], query_index=self.query_index[rows])

    def to(self, device: torch.device) -> "Plan":
        """The plan on another device."""
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **tensors)


def make_plan(tokens: Int[Tensor, "rows n_ctx"], answer_positions: tuple[int, ...], n_layers: int) -> Plan:
    """The plan of the rows ``tokens`` for a model of ``n_layers``."""
    n_ctx = tokens.shape[1]
    key = tokens * n_ctx + torch.arange(n_ctx, device=tokens.device)
    table, index = key.unique(return_inverse=True)
    queries = list(answer_positions) if n_layers == 1 else list(range(n_ctx))
    query_entries, query_index = index[:, queries].unique(return_inverse=True)
    return Plan(table // n_ctx, table % n_ctx, index, query_entries, query_index, answer_positions)
