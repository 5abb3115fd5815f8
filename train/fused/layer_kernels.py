"""Loops over rows of layered models, compiled by numba: attention, layer norms, rectifiers, scattered sums.

All arrays are float32; indices are int32. As in ``kernels``, nothing holds Python's lock.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from .compiling import COMPILE, WITHIN


@njit(**COMPILE)
@no_type_check
def find_nodes(prefixes, shared, index, chosen, is_causal, at, member, keys, pairs, entries, key_entries):
    """Nodes of rows, by position, each where its first row comes; how many there are, and how many pairs.

    Args:
        prefixes: [n_ctx, all rows] number of each row's prefix up to each position.
        shared: [n_ctx] how many prefixes a position has, if nodes are shared among rows there; else 0.
        index: [all rows, n_ctx] (position, token) pair at each position of each row.
        chosen: [n] the rows.
        at: [n, n_ctx] each row's nodes, written. member: [most] the row of each node, likewise.
        pairs: [T] pairs that occur, written; [most] ``entries`` count among these.
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


@njit(**WITHIN)
@no_type_check
def attend(q, kv, asks, keys, scale, attn_rate, pattern, z):
    """Attention of M queries, each over its own keys.

    Args:
        q: [rows, any] queries in its first columns, heads side by side.
        kv: [rows, any] keys, then values, in its last columns.
        asks: [M] each query's row of ``q``. keys: [M, J] rows of ``kv``; -1 for none, at the end.
        scale: multiplies scores. attn_rate: share of softmax in the attention, the rest being ones.
        pattern: [M, H, J] softmax and z: [M, H * d_head], written.
    """
    H, width, J = pattern.shape[1], z.shape[1], keys.shape[1]
    d_head = width // H
    first_k, first_v = kv.shape[1] - 2 * width, kv.shape[1] - width
    rate, rest, factor = np.float32(attn_rate), np.float32(1 - attn_rate), np.float32(scale)
    for m in range(asks.shape[0]):
        for h in range(H):
            at = h * d_head
            own, out, share = q[asks[m]][at : at + d_head], z[m][at : at + d_head], pattern[m, h]
            top = np.float32(-np.inf)
            n = 0
            while n < J and keys[m, n] >= 0:
                key = kv[keys[m, n]][first_k + at : first_k + at + d_head]
                score = np.float32(0)
                for c in range(d_head):
                    score += own[c] * key[c]
                share[n] = score * factor
                top = max(top, share[n])
                n += 1
            mass = np.float32(0)
            for j in range(n):
                share[j] = np.exp(share[j] - top)
                mass += share[j]
            for c in range(d_head):
                out[c] = np.float32(0)
            for j in range(n):
                share[j] /= mass
                weight, value = rate * share[j] + rest, kv[keys[m, j]][first_v + at : first_v + at + d_head]
                for c in range(d_head):
                    out[c] += weight * value[c]


@njit(**WITHIN)
@no_type_check
def unattend(q, kv, asks, keys, scale, attn_rate, pattern, d_z, d_q, d_kv):
    """Backward of ``attend``: adds to d_q and d_kv, which may be one array."""
    H, width, J = pattern.shape[1], d_z.shape[1], keys.shape[1]
    d_head = width // H
    first_k, first_v = kv.shape[1] - 2 * width, kv.shape[1] - width
    rate, rest, factor = np.float32(attn_rate), np.float32(1 - attn_rate), np.float32(scale)
    d_weight = np.empty(J, np.float32)
    for m in range(asks.shape[0]):
        for h in range(H):
            at = h * d_head
            d_out, share = d_z[m][at : at + d_head], pattern[m, h]
            mean = np.float32(0)
            n = 0
            while n < J and keys[m, n] >= 0:
                value = kv[keys[m, n]][first_v + at : first_v + at + d_head]
                d_value = d_kv[keys[m, n]][first_v + at : first_v + at + d_head]
                weight, total = rate * share[n] + rest, np.float32(0)
                for c in range(d_head):
                    total += d_out[c] * value[c]
                for c in range(d_head):
                    d_value[c] += weight * d_out[c]
                d_weight[n] = total
                mean += share[n] * total
                n += 1
            own, d_own = q[asks[m]][at : at + d_head], d_q[asks[m]][at : at + d_head]
            for j in range(n):
                change = factor * rate * share[j] * (d_weight[j] - mean)
                key = kv[keys[m, j]][first_k + at : first_k + at + d_head]
                d_key = d_kv[keys[m, j]][first_k + at : first_k + at + d_head]
                for c in range(d_head):
                    d_own[c] += change * key[c]
                for c in range(d_head):
                    d_key[c] += change * own[c]


@njit(**WITHIN)
@no_type_check
def norm(x, w, b, eps, unit, inverse, y):
    """Layer norm of rows: ``unit`` is centred and of variance 1, ``inverse`` what it was multiplied by; all written."""
    d = x.shape[1]
    for r in range(x.shape[0]):
        row, one, out = x[r], unit[r], y[r]
        total = np.float32(0)
        for c in range(d):
            total += row[c]
        mean = total / np.float32(d)
        square = np.float32(0)
        for c in range(d):
            square += (row[c] - mean) * (row[c] - mean)
        factor = np.float32(1) / np.sqrt(square / np.float32(d) + np.float32(eps))
        inverse[r] = factor
        for c in range(d):
            one[c] = (row[c] - mean) * factor
        for c in range(d):
            out[c] = one[c] * w[c] + b[c]


@njit(**WITHIN)
@no_type_check
def unnorm(d, w, unit, inverse, d_w, d_b):
    """Backward of ``norm``: ``d`` becomes the gradient before it; d_w and d_b are written."""
    width = d.shape[1]
    d_w[:] = np.float32(0)
    d_b[:] = np.float32(0)
    for r in range(d.shape[0]):
        row, one = d[r], unit[r]
        mean, along = np.float32(0), np.float32(0)
        for c in range(width):
            mean += row[c] * w[c]
            along += row[c] * w[c] * one[c]
        mean, along = mean / np.float32(width), along / np.float32(width)
        for c in range(width):
            d_w[c] += row[c] * one[c]
        for c in range(width):
            d_b[c] += row[c]
        for c in range(width):
            row[c] = inverse[r] * (row[c] * w[c] - mean - one[c] * along)


@njit(**WITHIN)
@no_type_check
def rectify(x, bias):
    """max(x + bias, 0) of rows, in place."""
    for r in range(x.shape[0]):
        row = x[r]
        for c in range(row.shape[0]):
            row[c] = max(row[c] + bias[c], np.float32(0))


@njit(**WITHIN)
@no_type_check
def unrectify(post, d_post):
    """Backward of ``rectify``: ``d_post`` becomes the gradient before it."""
    for r in range(post.shape[0]):
        row, d_row = post[r], d_post[r]
        for c in range(row.shape[0]):
            d_row[c] = d_row[c] if row[c] > 0 else np.float32(0)


@njit(**WITHIN)
@no_type_check
def add_rows(x, bias):
    """Add a bias to every row, unless it is zero."""
    if np.any(bias):
        for r in range(x.shape[0]):
            row = x[r]
            for c in range(row.shape[0]):
                row[c] += bias[c]


@njit(**WITHIN)
@no_type_check
def sum_rows(d, first, into):
    """Backward of ``add_rows``, for the columns from ``first``; a bias that is not trained has a gradient of size 0."""
    width = into.shape[0]
    if width > 0:
        into[:] = np.float32(0)
        for r in range(d.shape[0]):
            row = d[r][first : first + width]
            for c in range(width):
                into[c] += row[c]


@njit(**WITHIN)
@no_type_check
def split_heads(d_W, first, into):
    """Columns from ``first`` [d_model, heads * d_head] as [n_heads, d_model, d_head]."""
    H, d_model, d_head = into.shape
    for h in range(H):
        for i in range(d_model):
            begin = first + h * d_head
            row, out = d_W[i][begin : begin + d_head], into[h, i]
            for c in range(d_head):
                out[c] = row[c]


@njit(**WITHIN)
@no_type_check
def gather(x, index, out):
    """``out[i] = x[index[i]]``."""
    for i in range(index.shape[0]):
        row, more = out[i], x[index[i]]
        for c in range(row.shape[0]):
            row[c] = more[c]


@njit(**WITHIN)
@no_type_check
def add_gathered(out, x, index):
    """``out[i] += x[index[i]]``."""
    for i in range(index.shape[0]):
        row, more = out[i], x[index[i]]
        for c in range(row.shape[0]):
            row[c] += more[c]


@njit(**WITHIN)
@no_type_check
def scatter(rows, index, into):
    """``into[index[i]] += rows[i]``."""
    for i in range(index.shape[0]):
        row, out = rows[i], into[index[i]]
        for c in range(row.shape[0]):
            out[c] += row[c]
