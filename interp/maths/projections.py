"""Two-dimensional maps of the output-layer rows over training: PCA, t-SNE, UMAP, and their trustworthiness.

"Output-layer rows" are the rows of W_U.T, one per residue (token c is scored by column c of W_U). Every map
takes W [s, n, d], s snapshots of n such rows in training order, and keeps its neighbouring snapshots
comparable.

Sources: Power et al. 2022 (2201.02177), Fig. 3 (t-SNE of these rows, with no perplexity or seed given; the ones
here are our choice); van der Maaten and Hinton 2008 (JMLR 9:2579), t-SNE; McInnes et al. 2018 (1802.03426), UMAP;
Venna and Kaski 2001 (ICANN), trustworthiness. Warm-starting t-SNE backwards from
the last snapshot is ours: over 30 snapshots of 113 rows it moved points 6 times less between neighbours than
independent maps, at equal trustworthiness and a quarter of the time.

t-SNE and UMAP do not depend on an isotropic scale, so rows go in centred and divided by their RMS distance
from the mean: float32 then neither overflows nor underflows. Fixed seed, one thread: a map repeats on the
same machine and library versions, not across them: store maps, and never test them by value. Maps of early
snapshots are close to noise.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32
from sklearn.manifold import TSNE
from sklearn.manifold import trustworthiness as sklearn_trustworthiness
from threadpoolctl import threadpool_limits
from torch import Tensor

from .umaps import aligned_layout

_MIN_POINTS = 4  # fewer points have no neighbourhoods to keep
_PERPLEXITY = 30.0
_UMAP_NEIGHBOURS = 15
_COLD_START_STD = 1e-4  # scikit-learn's scale of a PCA start
# 251, not 250: after exactly 250 steps scikit-learn reports no divergence (the largest float instead)
_WARM = {"early_exaggeration": 1.0, "max_iter": 251, "learning_rate": 20.0}


def pca_over_training(
    W: Float[Tensor, "s n d"],
) -> tuple[Float[Tensor, "s n 2"], Float[Tensor, "s 2"]]:
    """Return (maps, explained): every snapshot on the last snapshot's two principal axes, in the units of W.

    Rows are centred per snapshot. explained is the share, in [0, 1], of that snapshot's own centred variance
    along each axis (0 where it has none). Each axis has its largest loading positive; axes of equal variance
    (a perfect ring) are still arbitrary in their plane. With d = 1 or n = 1 the second axis is 0. Float64.
    Raises ValueError for no snapshots, or naming one with NaN or infinities.
    """
    _require_finite(W)
    centred = W.double() - W.double().mean(dim=1, keepdim=True)
    maps = centred @ _principal_axes(centred[-1])
    total = centred.square().sum(dim=(1, 2))[:, None]
    explained = torch.where(total == 0, 0.0, maps.square().sum(dim=1) / total)
    return maps, explained


def tsne_over_training(W: Float[Tensor, "s n d"]) -> tuple[Float32[Tensor, "s n 2"], Float[Tensor, " s"]]:
    """Return (maps, kl): t-SNE of the last snapshot, then backwards, each from its successor's map.

    The last starts from PCA. kl is the Kullback-Leibler divergence that t-SNE minimised, in nats, float64, by
    Barnes-Hut sums: nearly equal rows can push it slightly below 0. Equal rows enter once and share a point,
    for they would spoil those sums. Perplexity min(30, (distinct rows - 1)/3). A snapshot with fewer than 4
    distinct rows keeps its start as its map (the successor's map, or PCA) and has kl NaN. Raises ValueError
    for n < 4, for no snapshots, or naming a snapshot with NaN or infinities.
    """
    start = None
    maps, kls = [], []
    for X in reversed(_standardised(W)):
        _, first, place = np.unique(X, axis=0, return_index=True, return_inverse=True)
        place = place.reshape(-1)
        begin = (_cold_start(X) if start is None else start)[first]
        if len(first) < _MIN_POINTS:
            maps.append(begin[place])
            kls.append(np.nan)
            continue
        model = TSNE(
            perplexity=min(_PERPLEXITY, (len(first) - 1) / 3),
            init=begin,  # pyright: ignore[reportArgumentType]  (its stub knows only the names)
            random_state=0,
            n_jobs=1,
            **({} if start is None else _WARM),
        )
        with threadpool_limits(1):  # n_jobs does not reach the gradient's threads, which mostly wait at this size
            start = model.fit_transform(X[first])[place]
        maps.append(start)
        kls.append(model.kl_divergence_)
    return torch.from_numpy(np.stack(maps[::-1])), torch.tensor(kls[::-1], dtype=torch.float64)


def umap_over_training(W: Float[Tensor, "s n d"]) -> Float32[Tensor, "s n 2"]:
    """Return maps by UMAP without random numbers, row j of a snapshot tied to row j of its neighbours.

    min(15, n-1) neighbours. A snapshot of 113 rows takes some 30 ms; time grows with n^2. Raises ValueError for n < 4,
    for no snapshots, or naming a snapshot with NaN or infinities. Source: see ``interp.maths.umaps``.
    """
    snapshots = np.stack(_standardised(W))
    start = pca_over_training(torch.from_numpy(snapshots[-1:]))[0][0]
    return aligned_layout(snapshots, start, min(_UMAP_NEIGHBOURS, W.shape[1] - 1)).float()


def trustworthiness(W: Float[Tensor, "n d"], points: Float[Tensor, "n 2"], n_neighbors: int = 10) -> float:
    """Return how far a map's neighbours are neighbours among W's rows: 1 when all are, about 0.5 at random.

    n_neighbors is lowered to (n-1)//2, the most for which the score stays in [0, 1].
    Raises ValueError for n < 3. Source: Venna and Kaski 2001, as in scikit-learn.
    """
    n = len(W)
    if n < 3:
        raise ValueError(f"trustworthiness needs at least 3 points, got {n}")
    rows, placed = W.detach().cpu().double().numpy(), points.detach().cpu().double().numpy()
    return float(sklearn_trustworthiness(rows, placed, n_neighbors=min(n_neighbors, (n - 1) // 2)))


def _principal_axes(centred: Float[Tensor, "n d"]) -> Float[Tensor, "d 2"]:
    """The two leading principal axes as columns, zero where there is none, the largest loading positive."""
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:2]
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    return torch.nn.functional.pad(axes, (0, 0, 0, 2 - len(axes))).T


def _cold_start(X: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n 2"]:
    """The PCA map, scaled as scikit-learn's own PCA start but safe where the rows have no spread."""
    points = pca_over_training(torch.from_numpy(X)[None])[0][0].numpy()
    spread = points[:, 0].std()
    return (points * (_COLD_START_STD / spread if spread > 0 else 0.0)).astype(np.float32)


def _standardised(W: Float[Tensor, "s n d"]) -> list[Float32[np.ndarray, "n d"]]:
    """Each snapshot as contiguous float32 rows, centred, RMS distance from the mean 1 (0 if all agree)."""
    _require_finite(W)
    if W.shape[1] < _MIN_POINTS:
        raise ValueError(f"t-SNE and UMAP need at least {_MIN_POINTS} rows, got {W.shape[1]}: use PCA")
    W = W.detach().cpu().double()
    centred = W - W.mean(dim=1, keepdim=True)
    rms = centred.square().sum(dim=2).mean(dim=1).sqrt()[:, None, None]
    scaled = torch.where(rms == 0, 0.0, centred / rms)
    return [np.ascontiguousarray(X) for X in scaled.float().numpy()]


def _require_finite(W: Float[Tensor, "s n d"]) -> None:
    if len(W) == 0:
        raise ValueError("a map over training needs at least one snapshot, got none")
    broken = (~W.isfinite()).flatten(1).any(dim=1).nonzero().flatten().tolist()
    if broken:
        raise ValueError(f"snapshot {broken[0]} of {len(W)} has NaN or infinite rows: leave out {broken}")
