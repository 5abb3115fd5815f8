"""Row loops of the tables pass, compiled by numba: everything between the matrix products of a one-layer model.

Each row of a task mixes a few rows of a table (one per head and position), so its MLP input costs a few
multiplications per hidden unit instead of the hundreds of a matrix product. All work on a row is done while the row is
in cache. The functions release the GIL, so that threads run in parallel, and respect NaN and infinity.

Shapes: n rows, J positions, H heads, T table entries, Q query entries. A table's columns (into
the hidden units, then straight into the logits) are stored as X blocks of ``COLUMNS``, none of them shared by
hidden units and logits: its shape is [X, H * T, COLUMNS], row h * T + t being entry t for head h. A block
stays in a core's cache while the loop runs over all rows. All numbers except the loss are float32.

The file is long because inlined functions must be in the file of their callers: see ``compiling.WITHIN``.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from .compiling import COMPILE, WITHIN

COLUMNS = 128
"""Columns of a table's block; a constant, so that the compiler can vectorise the loops without remainders."""


@njit(**WITHIN)
@no_type_check
def product(a, b, out):
    """``out = a @ b``."""
    np.dot(a, b, out)


@njit(**COMPILE)
@no_type_check
def expand(parts, less, tokens, positions, d_mlp, mixed):
    """Rows of the table's entries: the token's part plus the position's part minus ``less``.

    Args:
        parts: [H, rows, d_mlp + d_vocab_out] rows of the tokens, then of the positions.
        less: [H, d_mlp + d_vocab_out].
        tokens, positions: [T] rows of ``parts``.
        mixed: [X, H * T, COLUMNS], written; columns beyond the hidden units or the logits become 0.
    """
    T = tokens.shape[0]
    for x in range(mixed.shape[0]):
        begin, end = _columns(x, d_mlp, parts.shape[2])
        width = end - begin
        for h in range(parts.shape[0]):
            gone = less[h][begin:end]
            for t in range(T):
                row = mixed[x, h * T + t]
                y, z = parts[h, tokens[t]][begin:end], parts[h, positions[t]][begin:end]
                for c in range(width):
                    row[c] = y[c] + z[c] - gone[c]
                for c in range(width, COLUMNS):
                    row[c] = np.float32(0)


@njit(**COMPILE)
@no_type_check
def contract(d_mixed, tokens, positions, d_mlp, first, last, d_parts, d_less):
    """Backward of ``expand``, summed over S shards in order; blocks from ``first`` to before ``last``.

    Args:
        d_mixed: [S, X, H * T, COLUMNS].
        d_parts: [H, rows, d_mlp + d_vocab_out] and d_less: [H, d_mlp + d_vocab_out], written.
    """
    T = tokens.shape[0]
    total = np.empty(COLUMNS, np.float32)
    for x in range(first, last):
        begin, end = _columns(x, d_mlp, d_parts.shape[2])
        width = end - begin
        for h in range(d_parts.shape[0]):
            for i in range(d_parts.shape[1]):
                d_parts[h, i][begin:end] = np.float32(0)
            gone = d_less[h][begin:end]
            gone[:] = np.float32(0)
            for t in range(T):
                for c in range(COLUMNS):
                    total[c] = np.float32(0)
                for s in range(d_mixed.shape[0]):
                    row = d_mixed[s, x, h * T + t]
                    for c in range(COLUMNS):
                        total[c] += row[c]
                y, z = d_parts[h, tokens[t]][begin:end], d_parts[h, positions[t]][begin:end]
                for c in range(width):
                    y[c] += total[c]
                for c in range(width):
                    z[c] += total[c]
                for c in range(width):
                    gone[c] -= total[c]


@njit(**WITHIN)
@no_type_check
def _columns(x, d_mlp, C):
    """Range of columns (begin, end) of a row of width ``C`` that block ``x`` holds."""
    hidden = (d_mlp + COLUMNS - 1) // COLUMNS
    if x < hidden:
        return x * COLUMNS, min((x + 1) * COLUMNS, d_mlp)
    begin = d_mlp + (x - hidden) * COLUMNS
    return begin, min(begin + COLUMNS, C)


@njit(**COMPILE)
@no_type_check
def gather_pairs(x, tokens, positions, out):
    """``out[b, i] = x[b, tokens[i]] + x[b, positions[i]]``."""
    for b in range(x.shape[0]):
        for i in range(tokens.shape[0]):
            for c in range(x.shape[2]):
                out[b, i, c] = x[b, tokens[i], c] + x[b, positions[i], c]


@njit(**COMPILE)
@no_type_check
def scatter_pairs(d_out, tokens, positions, d_x):
    """Backward of ``gather_pairs``: adds to ``d_x``."""
    for b in range(d_x.shape[0]):
        for i in range(tokens.shape[0]):
            for c in range(d_x.shape[2]):
                d_x[b, tokens[i], c] += d_out[b, i, c]
                d_x[b, positions[i], c] += d_out[b, i, c]


@njit(**WITHIN)
@no_type_check
def attend(scores, index, query, attn_rate, pattern, weight):
    """Softmax and attention weights over each row's positions, head by head.

    Args:
        scores: [H, Q, T] attention scores. index: [n, J] table entries of each row.
        query: [n] query entry of each row. attn_rate: attention is attn_rate * softmax + (1 - attn_rate) * ones.
        pattern: [n, J * H] softmax and weight: [n, J * H] attention, written.
    """
    n, J = index.shape
    H = scores.shape[0]
    rate, rest = np.float32(attn_rate), np.float32(1 - attn_rate)
    for r in range(n):
        for h in range(H):
            own = scores[h, query[r]]
            top = own[index[r, 0]]
            for j in range(1, J):
                top = max(top, own[index[r, j]])
            mass = np.float32(0)
            for j in range(J):
                odds = np.exp(own[index[r, j]] - top)
                pattern[r, j * H + h] = odds
                mass += odds
            for j in range(J):
                share = pattern[r, j * H + h] / mass
                pattern[r, j * H + h] = share
                weight[r, j * H + h] = rate * share + rest


@njit(**WITHIN)
@no_type_check
def mix(mixed, base, source, query, weight, post, logits):
    """Hidden units (after ReLU) and direct logits of each row.

    Args:
        mixed: [X, H * T, COLUMNS] contribution of each entry's value. base: [Q, C] contribution of a query entry.
        source: [n, M] rows of ``mixed`` that a row sums, weighted by the first M columns of ``weight`` [n, J * H].
        post: [n, d_mlp] and logits: [n, d_vocab_out], written.
    """
    n, M = source.shape
    d_mlp = post.shape[1]
    total = np.empty(COLUMNS, np.float32)
    whole = M - M % 4
    for x in range(mixed.shape[0]):
        begin, end = _columns(x, d_mlp, base.shape[1])
        width = end - begin
        table = mixed[x]
        for r in range(n):
            w, e = weight[r], source[r]
            row = base[query[r]][begin:end]
            for c in range(width):
                total[c] = row[c]
            for i in range(0, whole, 4):
                w0, w1, w2, w3 = w[i], w[i + 1], w[i + 2], w[i + 3]
                g0, g1, g2, g3 = table[e[i]], table[e[i + 1]], table[e[i + 2]], table[e[i + 3]]
                for c in range(COLUMNS):
                    total[c] += w0 * g0[c] + w1 * g1[c] + w2 * g2[c] + w3 * g3[c]
            for i in range(whole, M):
                w0, g0 = w[i], table[e[i]]
                for c in range(COLUMNS):
                    total[c] += w0 * g0[c]
            if begin < d_mlp:
                hidden = post[r][begin:end]
                for c in range(width):
                    hidden[c] = max(total[c], np.float32(0))
            else:
                direct = logits[r][begin - d_mlp : end - d_mlp]
                for c in range(width):
                    direct[c] = total[c]


@njit(**WITHIN)
@no_type_check
def shift(logits, label, shifted):
    """Subtract each row's maximum from the logits, in place; ``shifted`` [n] receives the correct answers' logits."""
    for r in range(logits.shape[0]):
        row = logits[r]
        top = row[0]
        for c in range(1, row.shape[0]):
            top = max(top, row[c])
        for c in range(row.shape[0]):
            row[c] -= top
        shifted[r] = row[label[r]]


@njit(**WITHIN)
@no_type_check
def exponentiate(x):
    """exp of numbers that are at most 0, in place, to 2 units in the last place; 0 below x = -87.

    The range is reduced to |x| <= log(2) / 2, where a polynomial of degree 6 is evaluated (coefficients of Cephes'
    expf), in a form that compilers vectorise.
    """
    width = x.shape[1]
    bits = np.empty(width, np.int32)
    power = bits.view(np.float32)
    for r in range(x.shape[0]):
        row = x[r]
        for c in range(width):
            y = max(row[c], np.float32(-87))
            n = np.floor(y * np.float32(1.44269504) + np.float32(0.5))
            y = y - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
            z = np.float32(1.9875691500e-4) * y + np.float32(1.3981999507e-3)
            z = (z * y + np.float32(8.3334519073e-3)) * y + np.float32(4.1665795894e-2)
            z = (z * y + np.float32(1.6666665459e-1)) * y + np.float32(5.0000001201e-1)
            bits[c] = (np.int32(n) + np.int32(127)) << np.int32(23) if row[c] >= np.float32(-87) else np.int32(0)
            row[c] = z * y * y + y + np.float32(1)
        for c in range(width):
            row[c] *= power[c]


@njit(**WITHIN)
@no_type_check
def cross_entropy(odds, label, shifted, share):
    """Cross-entropies in nats, summed over rows, times ``share``; the gradient overwrites ``odds``.

    The odds of the wrong answers are summed separately from the correct one's, so that a small loss and its gradient
    keep their relative precision; a log-softmax in float32 would round both to 0.

    Args:
        odds: [n, d_vocab_out] exp(logits - their maximum). label: [n] correct answers.
        shifted: [n] the correct answer's logit minus the maximum.
    """
    total = 0.0
    for r in range(odds.shape[0]):
        row, right = odds[r], label[r]
        own = row[right]
        row[right] = np.float32(0)
        wrong = np.float32(0)
        for c in range(row.shape[0]):
            wrong += row[c]
        mass = wrong + own
        if shifted[r] == 0:
            total += np.log1p(np.float64(wrong))
        else:
            total += np.log(np.float64(mass)) - np.float64(shifted[r])
        scale = np.float32(share) / mass
        for c in range(row.shape[0]):
            row[c] *= scale
        row[right] = -wrong * scale
    return total * share


@njit(**WITHIN)
@no_type_check
def loss_of(logits, label, shifted, share):
    """Cross-entropies in nats, summed over rows, times ``share``; the gradient overwrites ``logits``.

    Args:
        logits: [n, d_vocab_out]. label: [n] correct answers. shifted: [n], written.
    """
    shift(logits, label, shifted)
    exponentiate(logits)
    return cross_entropy(logits, label, shifted, share)


@njit(**WITHIN)
@no_type_check
def unmix(mixed, source, query, weight, post, d_post, d_logits, d_mixed, d_base, d_weight):
    """Backward of ``mix``.

    Args:
        post: [n, d_mlp] as ``mix`` wrote it. d_post: [n, d_mlp]. d_logits: [n, d_vocab_out].
        d_mixed: [X, H * T, COLUMNS], d_base: [Q, C] and d_weight: [n, J * H], written: 0 beyond M.
    """
    n, M = source.shape
    d_mlp = post.shape[1]
    grad = np.empty(COLUMNS, np.float32)
    whole = M - M % 4
    d_mixed[:] = np.float32(0)
    d_base[:] = np.float32(0)
    d_weight[:] = np.float32(0)
    for x in range(mixed.shape[0]):
        begin, end = _columns(x, d_mlp, d_base.shape[1])
        width = end - begin
        table, d_table = mixed[x], d_mixed[x]
        grad[:] = np.float32(0)
        for r in range(n):
            w, e, d_w = weight[r], source[r], d_weight[r]
            if begin < d_mlp:
                hidden, d_hidden = post[r][begin:end], d_post[r][begin:end]
                for c in range(width):
                    grad[c] = d_hidden[c] if hidden[c] > 0 else np.float32(0)
            else:
                d_direct = d_logits[r][begin - d_mlp : end - d_mlp]
                for c in range(width):
                    grad[c] = d_direct[c]
            row = d_base[query[r]][begin:end]
            for c in range(width):
                row[c] += grad[c]
            for i in range(0, whole, 4):
                g0, g1, g2, g3 = table[e[i]], table[e[i + 1]], table[e[i + 2]], table[e[i + 3]]
                s0, s1, s2, s3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for c in range(COLUMNS):
                    s0 += grad[c] * g0[c]
                    s1 += grad[c] * g1[c]
                    s2 += grad[c] * g2[c]
                    s3 += grad[c] * g3[c]
                d_w[i] += s0
                d_w[i + 1] += s1
                d_w[i + 2] += s2
                d_w[i + 3] += s3
            for i in range(whole, M):
                g0, s0 = table[e[i]], np.float32(0)
                for c in range(COLUMNS):
                    s0 += grad[c] * g0[c]
                d_w[i] += s0
            for i in range(M):
                w0, d0 = w[i], d_table[e[i]]
                for c in range(COLUMNS):
                    d0[c] += w0 * grad[c]


@njit(**WITHIN)
@no_type_check
def unattend(pattern, d_weight, index, query, attn_rate, d_scores):
    """Backward of ``attend``: d_scores [H, Q, T] is written."""
    n, J = index.shape
    H = d_scores.shape[0]
    rate = np.float32(attn_rate)
    d_scores[:] = np.float32(0)
    for r in range(n):
        for h in range(H):
            mean = np.float32(0)
            for j in range(J):
                mean += pattern[r, j * H + h] * d_weight[r, j * H + h]
            for j in range(J):
                i = j * H + h
                change = rate * pattern[r, i] * (d_weight[r, i] - mean)
                d_scores[h, query[r], index[r, j]] += change


@njit(**COMPILE)
@no_type_check
def forward(mixed, base, scores, W_out_U, index, source, query, attn_rate, pattern, weight, post, direct, logits):
    """Forward pass of rows, which writes attention, hidden units and logits: see ``attend`` and ``mix``."""
    attend(scores, index, query, attn_rate, pattern, weight)
    mix(mixed, base, source, query, weight, post, direct)
    product(post, W_out_U, logits)
    for r in range(logits.shape[0]):
        row, more = logits[r], direct[r]
        for c in range(row.shape[0]):
            row[c] += more[c]


@njit(**COMPILE)
@no_type_check
def backward(
    mixed, W_out_U, index, source, query, label, attn_rate, share,
    pattern, weight, post, logits, d_post, shifted, d_weight,
    d_mixed, d_scores, d_base, d_W_out_U,
):  # fmt: skip
    """Summed loss of rows after ``forward``, times ``share``; writes the gradients of the tables (last line)."""
    loss = loss_of(logits, label, shifted, share)
    product(post.T, logits, d_W_out_U)
    product(logits, W_out_U.T, d_post)
    unmix(mixed, source, query, weight, post, d_post, logits, d_mixed, d_base, d_weight)
    unattend(pattern, d_weight, index, query, attn_rate, d_scores)
    return loss
