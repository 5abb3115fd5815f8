"""A layer's forward and backward, each one compiled call that releases the GIL.

Worker threads contend for the GIL on every Python call, so a layer is one compiled call. All arrays are float32;
indices are int32. Forward saves the arrays that backward needs in one block of memory, whose layout ``saved`` defines.

The file is long because inlined functions must be in the file of their callers: see ``compiling.WITHIN``.
"""

from typing import Any, NamedTuple, no_type_check

import numpy as np
from numba import njit

from train.passes.compiling import COMPILE, WITHIN

NORMS = {None: 0, "LN": 1, "LNPost": 2}
"""Integer codes of ``normalization_type``, for compiled code."""
ALIGNED = 16


class QKV(NamedTuple):
    """Weights of a layer's queries, keys and values, heads side by side."""

    W_q: Any
    b_q: Any
    W_kv: Any
    """[d_model, 2 * heads * d_head] of keys, then values."""
    b_kv: Any


class QKVGradients(NamedTuple):
    """Gradients of the weights from which ``QKV`` is made; a bias that is not trained is empty."""

    W_Q: Any
    """[n_heads, d_model, d_head], as W_K and W_V."""
    W_K: Any
    W_V: Any
    b_Q: Any
    """[heads * d_head], as b_K and b_V."""
    b_K: Any
    b_V: Any


class Rest(NamedTuple):
    """A layer's other weights, or their gradients; absent weights and untrained gradients are empty."""

    W_O: Any
    b_O: Any
    W_in: Any
    b_in: Any
    W_out: Any
    b_out: Any
    ln1_w: Any
    ln1_b: Any
    ln2_w: Any
    ln2_b: Any


class Sizes(NamedTuple):
    """Sizes and constants of a layer."""

    n_heads: int
    d_mlp: int
    norm: int
    scale: float
    """Factor on the attention scores."""
    attn_rate: float
    eps: float


def memory_size(n_in: int, n_out: int, n_keys: int, d_model: int, width: int, sizes: Sizes) -> int:
    """Size, in numbers, of the memory that ``saved`` lays out."""
    shapes = memory_shapes.py_func(n_in, n_out, n_keys, d_model, width, sizes)
    return sum(room.py_func(*shape) for shape in shapes)


def spare_size(n_in: int, n_out: int, d_model: int, width: int, sizes: Sizes) -> int:
    """Size, in numbers, of the memory that ``spared`` lays out."""
    shapes = spare_shapes.py_func(n_in, n_out, d_model, width, sizes)
    return sum(room.py_func(*shape) for shape in shapes)


@njit(**WITHIN)
@no_type_check
def memory_shapes(n_in, n_out, n_keys, d_model, width, sizes):
    """Rows and columns of the matrices that ``forward`` keeps, in the order of ``saved``."""
    most, n_q = max(n_in, n_out), min(n_in, n_out)
    return (
        (n_in, d_model),
        (most, d_model),
        (1, most),
        (n_q, d_model),
        (n_q, width),
        (n_in, 2 * width),
        (n_out, sizes.n_heads * n_keys),
        (n_out, width),
        (n_out, d_model),
        (n_out, d_model),
        (1, n_out),
        (n_out, d_model),
        (n_out, sizes.d_mlp),
        (n_out, d_model),
    )


@njit(**WITHIN)
@no_type_check
def spare_shapes(n_in, n_out, d_model, width, sizes):
    """Rows and columns of the further matrices that ``backward`` needs, in the order of ``spared``."""
    n_q = min(n_in, n_out)
    return (
        (n_in, d_model),
        (n_out, sizes.d_mlp),
        (n_out, d_model),
        (n_out, width),
        (n_q, width),
        (n_in, 2 * width),
        (n_q, d_model),
        (d_model, width),
        (d_model, 2 * width),
    )


@njit(**WITHIN)
@no_type_check
def room(rows, columns):
    """Size of a matrix in numbers, rounded up so that the next matrix begins on a cache line."""
    return -(-rows * columns // ALIGNED) * ALIGNED


@njit(**WITHIN)
@no_type_check
def carve(memory, at, shape):
    """A matrix that begins at offset ``at``, and the offset of the next matrix."""
    rows, columns = shape
    return memory[at : at + rows * columns].reshape(rows, columns), at + room(rows, columns)


@njit(**WITHIN)
@no_type_check
def saved(memory, shapes):
    """Views of the memory in which ``forward`` saves a layer's intermediate arrays."""
    h, unit1, inverse1, q_in, q, kv, pattern, z, mid, unit2, inverse2, h2, post, out = shapes
    h, at = carve(memory, 0, h)
    unit1, at = carve(memory, at, unit1)
    inverse1, at = carve(memory, at, inverse1)
    q_in, at = carve(memory, at, q_in)
    q, at = carve(memory, at, q)
    kv, at = carve(memory, at, kv)
    pattern, at = carve(memory, at, pattern)
    z, at = carve(memory, at, z)
    mid, at = carve(memory, at, mid)
    unit2, at = carve(memory, at, unit2)
    inverse2, at = carve(memory, at, inverse2)
    h2, at = carve(memory, at, h2)
    post, at = carve(memory, at, post)
    out, at = carve(memory, at, out)
    return h, unit1, inverse1[0], q_in, q, kv, pattern, z, mid, unit2, inverse2[0], h2, post, out


@njit(**WITHIN)
@no_type_check
def spared(memory, shapes):
    """Views of the scratch memory of ``backward``."""
    d_h, d_post, d_mid, d_z, d_q, d_kv, d_q_in, d_W_q, d_W_kv = shapes
    d_h, at = carve(memory, 0, d_h)
    d_post, at = carve(memory, at, d_post)
    d_mid, at = carve(memory, at, d_mid)
    d_z, at = carve(memory, at, d_z)
    d_q, at = carve(memory, at, d_q)
    d_kv, at = carve(memory, at, d_kv)
    d_q_in, at = carve(memory, at, d_q_in)
    d_W_q, at = carve(memory, at, d_W_q)
    d_W_kv, at = carve(memory, at, d_W_kv)
    return d_h, d_post, d_mid, d_z, d_q, d_kv, d_q_in, d_W_q, d_W_kv


@njit(**COMPILE)
@no_type_check
def forward(x, asks, rows, keys, qkv, W, sizes, memory):
    """A layer's output [n_out, d_model]: a view of ``memory``.

    Args:
        x: [n_in, d_model] the stream before the layer.
        asks: [n_out] the row of ``x`` of each query.
        rows: [n_out] each query's index among the projected queries: those of all rows of ``x`` if n_in <= n_out, else
            only those of ``asks``.
        keys: [n_out, n_keys] rows of ``x`` that each query attends to, padded with -1 at the end.
        qkv, W: the weights, as ``QKV`` and ``Rest``.
        memory: of size ``memory_size``, written for ``backward``.
    """
    n_in, d_model = x.shape
    n_out, n_keys = keys.shape
    width = qkv.W_q.shape[1]
    h, unit1, inverse1, q_in, q, kv, pattern, z, mid, unit2, inverse2, h2, post, out = saved(
        memory, memory_shapes(n_in, n_out, n_keys, d_model, width, sizes)
    )
    if sizes.norm == 1:
        norm(x, W.ln1_w, W.ln1_b, sizes.eps, unit1, inverse1, h)
    else:
        h = x
    if n_out < n_in:
        gather(h, asks, q_in)
    else:
        q_in = h
    product(q_in, qkv.W_q, q)
    product(h, qkv.W_kv, kv)
    add_rows(q, qkv.b_q)
    add_rows(kv, qkv.b_kv)
    attend(q, kv, rows, keys, sizes.scale, sizes.attn_rate, pattern.reshape(n_out, sizes.n_heads, n_keys), z)
    product(z, W.W_O, mid)
    add_rows(mid, W.b_O)
    add_gathered(mid, x, asks)
    if sizes.norm == 2:
        norm(mid, W.ln1_w, W.ln1_b, sizes.eps, unit1, inverse1, mid)
    if sizes.norm == 1:
        norm(mid, W.ln2_w, W.ln2_b, sizes.eps, unit2, inverse2, h2)
    else:
        h2 = mid
    product(h2, W.W_in, post)
    rectify(post, W.b_in)
    product(post, W.W_out, out)
    add_rows(out, W.b_out)
    out += mid
    if sizes.norm == 2:
        norm(out, W.ln2_w, W.ln2_b, sizes.eps, unit2, inverse2, out)
    return out


@njit(**COMPILE)
@no_type_check
def backward(d, x, asks, rows, keys, qkv, W, sizes, memory, d_qkv, d_W, spare):
    """Gradient of a layer's input [n_in, d_model], a view of ``spare``; writes the gradients of the weights.

    Args:
        d: [n_out, d_model] gradient of the layer's output; overwritten.
        x, asks, rows, keys, qkv, W, sizes, memory: the arguments of ``forward``.
        d_qkv, d_W: the gradients as ``QKVGradients`` and ``Rest``, written.
        spare: scratch memory of size ``spare_size``, written.
    """
    n_out, d_model = d.shape
    n_in = x.shape[0]
    n_keys, width = keys.shape[1], qkv.W_q.shape[1]
    h, unit1, inverse1, q_in, q, kv, pattern, z, mid, unit2, inverse2, h2, post, out = saved(
        memory, memory_shapes(n_in, n_out, n_keys, d_model, width, sizes)
    )
    if sizes.norm != 1:
        h, h2 = x, mid
    if n_out >= n_in:
        q_in = h
    d_h, d_post, d_mid, d_z, d_q, d_kv, d_q_in, d_W_q, d_W_kv = spared(
        spare, spare_shapes(n_in, n_out, d_model, width, sizes)
    )
    if sizes.norm == 2:
        unnorm(d, W.ln2_w, unit2, inverse2, d_W.ln2_w, d_W.ln2_b)
    product(post.T, d, d_W.W_out)
    sum_rows(d, 0, d_W.b_out)
    product(d, W.W_out.T, d_post)
    unrectify(post, d_post)
    product(h2.T, d_post, d_W.W_in)
    sum_rows(d_post, 0, d_W.b_in)
    product(d_post, W.W_in.T, d_mid)
    if sizes.norm == 1:
        unnorm(d_mid, W.ln2_w, unit2, inverse2, d_W.ln2_w, d_W.ln2_b)
    d_mid += d
    if sizes.norm == 2:
        unnorm(d_mid, W.ln1_w, unit1, inverse1, d_W.ln1_w, d_W.ln1_b)
    product(z.T, d_mid, d_W.W_O)
    sum_rows(d_mid, 0, d_W.b_O)
    product(d_mid, W.W_O.T, d_z)
    d_q[:] = np.float32(0)
    d_kv[:] = np.float32(0)
    weights = pattern.reshape(n_out, sizes.n_heads, n_keys)
    unattend(q, kv, rows, keys, sizes.scale, sizes.attn_rate, weights, d_z, d_q, d_kv)
    product(q_in.T, d_q, d_W_q)
    product(h.T, d_kv, d_W_kv)
    split_heads(d_W_q, 0, d_qkv.W_Q)
    split_heads(d_W_kv, 0, d_qkv.W_K)
    split_heads(d_W_kv, width, d_qkv.W_V)
    sum_rows(d_q, 0, d_qkv.b_Q)
    sum_rows(d_kv, 0, d_qkv.b_K)
    sum_rows(d_kv, width, d_qkv.b_V)
    product(d_kv, qkv.W_kv.T, d_h)
    product(d_q, qkv.W_q.T, d_q_in)
    if n_out < n_in:
        scatter(d_q_in, asks, d_h)
    else:
        d_h += d_q_in
    if sizes.norm == 1:
        unnorm(d_h, W.ln1_w, unit1, inverse1, d_W.ln1_w, d_W.ln1_b)
    scatter(d_mid, asks, d_h)
    return d_h


@njit(**COMPILE)
@no_type_check
def embed(W_E, W_pos, tokens, positions, x):
    """``x[i] = W_E[tokens[i]] + W_pos[positions[i]]``."""
    for i in range(tokens.shape[0]):
        row, y, z = x[i], W_E[tokens[i]], W_pos[positions[i]]
        for c in range(row.shape[0]):
            row[c] = y[c] + z[c]


@njit(**COMPILE)
@no_type_check
def add_to_embedding(d, tokens, positions, d_W_E, d_W_pos):
    """Backward of ``embed``; an untrained embedding has a gradient without rows, which is skipped."""
    if d_W_E.shape[0] > 0:
        d_W_E[:] = np.float32(0)
        scatter(d, tokens, d_W_E)
    if d_W_pos.shape[0] > 0:
        d_W_pos[:] = np.float32(0)
        scatter(d, positions, d_W_pos)


@njit(**COMPILE)
@no_type_check
def logits_of(x, has_norm, w, b, eps, W_U, b_U, unit, inverse, y, logits):
    """Logits at the answers, from the residual stream: the final norm, if there is one, and the unembedding."""
    if has_norm:
        norm(x, w, b, eps, unit, inverse, y)
    else:
        y = x
    product(y, W_U, logits)
    add_rows(logits, b_U)


@njit(**COMPILE)
@no_type_check
def unembed(d_logits, x, has_norm, w, W_U, unit, inverse, y, d, d_w, d_b, d_W_U, d_b_U):
    """Backward of ``logits_of``; writes d, the gradient of ``x``, and the gradients of the weights."""
    if not has_norm:
        y = x
    product(y.T, d_logits, d_W_U)
    sum_rows(d_logits, 0, d_b_U)
    product(d_logits, W_U.T, d)
    if has_norm:
        unnorm(d, w, unit, inverse, d_w, d_b)


# ---- loops -------------------------------------------------------------------------------------------


@njit(**WITHIN)
@no_type_check
def product(a, b, out):
    """``out = a @ b``."""
    np.dot(a, b, out)


@njit(**WITHIN)
@no_type_check
def attend(q, kv, asks, keys, scale, attn_rate, pattern, z):
    """Attention of M queries, each over its own keys.

    Args:
        q: [rows, H * d_head] queries, heads side by side.
        kv: [rows, 2 * H * d_head] keys, then values, likewise.
        asks: [M] each query's row of ``q``. keys: [M, J] rows of ``kv``, padded with -1 at the end.
        scale: factor on the scores. attn_rate: attention is attn_rate * softmax + (1 - attn_rate) * ones.
        pattern: [M, H, J] softmax and z: [M, H * d_head], written.
    """
    H, width, J = pattern.shape[1], z.shape[1], keys.shape[1]
    d_head = width // H
    rate, rest, factor = np.float32(attn_rate), np.float32(1 - attn_rate), np.float32(scale)
    for m in range(asks.shape[0]):
        for h in range(H):
            at = h * d_head
            own, out, share = q[asks[m]][at : at + d_head], z[m][at : at + d_head], pattern[m, h]
            top = np.float32(-np.inf)
            n = 0
            while n < J and keys[m, n] >= 0:
                key = kv[keys[m, n]][at : at + d_head]
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
                weight, value = rate * share[j] + rest, kv[keys[m, j]][width + at : width + at + d_head]
                for c in range(d_head):
                    out[c] += weight * value[c]


@njit(**WITHIN)
@no_type_check
def unattend(q, kv, asks, keys, scale, attn_rate, pattern, d_z, d_q, d_kv):
    """Backward of ``attend``: adds to d_q and d_kv."""
    H, width, J = pattern.shape[1], d_z.shape[1], keys.shape[1]
    d_head = width // H
    rate, rest, factor = np.float32(attn_rate), np.float32(1 - attn_rate), np.float32(scale)
    d_weight = np.empty(J, np.float32)
    for m in range(asks.shape[0]):
        for h in range(H):
            at = h * d_head
            d_out, share = d_z[m][at : at + d_head], pattern[m, h]
            mean = np.float32(0)
            n = 0
            while n < J and keys[m, n] >= 0:
                value = kv[keys[m, n]][width + at : width + at + d_head]
                d_value = d_kv[keys[m, n]][width + at : width + at + d_head]
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
                key = kv[keys[m, j]][at : at + d_head]
                d_key = d_kv[keys[m, j]][at : at + d_head]
                for c in range(d_head):
                    d_own[c] += change * key[c]
                for c in range(d_head):
                    d_key[c] += change * own[c]


@njit(**WITHIN)
@no_type_check
def norm(x, w, b, eps, unit, inverse, y):
    """Layer norm of rows; writes y, the centred rows of variance 1 ``unit``, and their factors ``inverse``."""
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
    """Backward of ``norm``: turns ``d`` into the gradient of the input, in place; writes d_w and d_b."""
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
    """Backward of ``rectify``: turns ``d_post`` into the gradient of the input, in place."""
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
    """Copy columns from ``first``, [d_model, heads * d_head], into [n_heads, d_model, d_head]."""
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
