"""Rows of a task as nodes: the distinct inputs of a layer.

Under a causal mask, a layer's output at a position depends only on the tokens up to that position. So the output is
computed once for each distinct prefix among the rows (a node), not for every row and position: the first operand's
position has only as many nodes as there are elements.
"""

from dataclasses import dataclass
from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Int32
from numba import njit
from torch import Tensor

from train.passes.arrays import Array
from train.passes.compiling import COMPILE
from train.passes.entries import Plan


class Queries(NamedTuple):
    """The queries of a layer and the keys that each attends to."""

    asks: Int32[Array, " n_out"]
    """Row of the layer's input at which each query is asked."""
    rows: Int32[Array, " n_out"]
    """Each query's index among the projected queries: those of the whole input if that is shorter, else of ``asks``."""
    keys: Int32[Array, "n_out n_ctx"]
    """Rows of the layer's input that each query attends to, padded with -1 at the end."""


@dataclass(frozen=True)
class Nodes:
    """Rows of a task as nodes: the distinct prefixes of the rows (every position of every row if attention is full)."""

    pairs: Int32[Array, " pairs"]
    """The (position, token) pairs that occur."""
    label: Int32[Array, " answers"]
    queries: list[Queries]
    """Queries of each layer; the first layer's input has one row per (position, token) pair, other layers' per node."""


class NodeMaker:
    """A callable that converts rows to nodes."""

    def __init__(self, plan: Plan, is_causal: bool, n_layers: int) -> None:
        self.index = plan.index.cpu().numpy().astype(np.int32)
        self.n_pairs, self.n_layers = len(plan.table_tokens), n_layers
        self.positions, self.is_causal = list(plan.answer_positions), is_causal
        ids, prefixes = np.zeros(len(self.index), np.int64), []
        for j in range(self.index.shape[1]):
            _, ids = np.unique(ids * (self.index.max() + 1) + self.index[:, j], return_inverse=True)
            prefixes.append(ids.astype(np.int32))
        self.prefixes = np.stack(prefixes)
        counts = self.prefixes.max(axis=1) + 1
        self.shared = np.where((counts < len(self.index)) & is_causal, counts, 0).astype(np.int32)

    def __call__(self, labels: Tensor, rows: Tensor) -> Nodes:
        """The nodes of the rows numbered ``rows``."""
        row_numbers, n_ctx = rows.numpy(), self.index.shape[1]
        most = len(row_numbers) * n_ctx
        at, member = np.empty((len(row_numbers), n_ctx), np.int32), np.empty(most, np.int32)
        keys, key_entries = np.empty((most, n_ctx), np.int32), np.empty((most, n_ctx), np.int32)
        pairs, entries = np.empty(self.n_pairs, np.int32), np.empty(most, np.int32)
        fixed = (self.prefixes, self.shared, self.index, row_numbers, self.is_causal)
        count, n_pairs = find_nodes(*fixed, at, member, keys, pairs, entries, key_entries)
        pairs, entries, keys, key_entries = pairs[:n_pairs], entries[:count], keys[:count], key_entries[:count]
        answers = np.ascontiguousarray(at[:, self.positions]).ravel()
        queries = []
        for layer in range(self.n_layers):
            n_in = count if layer else n_pairs
            asks, sees = (_numbers(count), keys) if layer else (entries, key_entries)
            if layer == self.n_layers - 1:
                asks, sees = asks[answers], sees[answers]
            queries.append(Queries(asks, _numbers(len(asks)) if len(asks) < n_in else asks, sees))
        return Nodes(pairs, labels.numpy()[row_numbers].ravel().astype(np.int32), queries)


def _numbers(n: int) -> Int32[Array, " n"]:
    return np.arange(n, dtype=np.int32)


@njit(**COMPILE)
@no_type_check
def find_nodes(prefixes, shared, index, chosen, is_causal, at, member, keys, pairs, entries, key_entries):
    """Number the nodes of some rows, position by position. Returns the numbers of nodes and of distinct pairs.

    Args:
        prefixes: [n_ctx, all rows] number of each row's prefix up to each position.
        shared: [n_ctx] number of prefixes at a position whose nodes are shared among rows; else 0.
        index: [all rows, n_ctx] (position, token) pair at each position of each row.
        chosen: [n] the rows.
        at: [n, n_ctx] each row's nodes, written. member: [most] a row of each node, written.
        pairs: [T] pairs that occur, written. entries: [most] index into ``pairs`` of each node, written.
        keys, key_entries: [most, n_ctx], written: nodes and pairs that each node attends to, else -1.
    """
    n, n_ctx = at.shape
    where = np.empty(max(shared.max(), 1), np.int32)
    local = np.full(pairs.shape[0], np.int32(-1), np.int32)
    count, n_pairs = 0, 0
    for j in range(n_ctx):
        begin = count
        where[: shared[j]] = -1
        for r in range(n):
            known = np.int32(-1)
            if shared[j] > 0:
                known = where[prefixes[j, chosen[r]]]
            if known < 0:
                known = np.int32(count)
                member[count] = r
                count += 1
                if shared[j] > 0:
                    where[prefixes[j, chosen[r]]] = known
            at[r, j] = known
        for i in range(begin, count):
            pair = index[chosen[member[i]], j]
            if local[pair] < 0:
                local[pair] = n_pairs
                pairs[n_pairs] = pair
                n_pairs += 1
            entries[i] = local[pair]
    for i in range(count):
        r = member[i]
        for j in range(n_ctx):
            is_seen = not is_causal or at[r, j] <= i
            keys[i, j] = at[r, j] if is_seen else -1
            key_entries[i, j] = entries[at[r, j]] if is_seen else -1
    return count, n_pairs
