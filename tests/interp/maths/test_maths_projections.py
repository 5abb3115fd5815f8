"""Maps over training: PCA against scikit-learn; t-SNE and UMAP by the neighbours that they preserve."""

import importlib
import sys

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch.testing import assert_close

from interp.maths.circles import circle_score, circle_score_null
from interp.maths.projections import pca_over_training, trustworthiness, tsne_over_training, umap_over_training


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shuffled(n: int) -> torch.Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(2))


def growing_ring(s: int, n: int, k: int, d: int = 16) -> torch.Tensor:
    """Rows that go from noise to a ring of frequency k: [s, n, d]."""
    theta = 2 * torch.pi * k * torch.arange(n) / n
    plane = torch.linalg.qr(noise(d, 2, seed=7))[0]
    target = torch.stack([theta.cos(), theta.sin()], dim=1) @ plane.T
    start = noise(n, d) / d**0.5
    return torch.stack([(1 - t) * start + t * target for t in torch.linspace(0, 0.98, s).tolist()]) + 0.01 * noise(
        s, n, d, seed=3
    )


def clusters(n_clusters: int, size: int, spread: float) -> torch.Tensor:
    return 10 * noise(n_clusters, 8).repeat_interleave(size, dim=0) + spread * noise(n_clusters * size, 8, seed=1)


def generator_states() -> tuple[str, bytes]:
    return repr(np.random.get_state()), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002


def mean_move(maps: torch.Tensor) -> float:
    """Mean displacement of a point between neighbouring snapshots, in units of the maps' spread."""
    steps = (maps[1:] - maps[:-1]).norm(dim=2).mean(dim=1)
    return (steps / maps[1:].std(dim=(1, 2))).mean().item()


def test_pca_agrees_with_scikit_learn():
    W = noise(3, 20, 6).double() + 5
    maps, explained = pca_over_training(W)
    oracle = PCA(n_components=2).fit(W[-1].numpy())
    axes = np.asarray(oracle.components_)
    axes = axes * np.sign([[axis[np.abs(axis).argmax()]] for axis in axes])
    for step in range(3):
        centred = W[step].numpy() - W[step].numpy().mean(0)
        assert_close(maps[step].numpy(), centred @ axes.T, rtol=0, atol=1e-12)
    assert_close(explained[-1].numpy(), oracle.explained_variance_ratio_)
    assert explained[0].sum() < explained[-1].sum()  # control: the last snapshot's axes suit the last


def test_pca_of_a_ring_is_a_ring_and_only_at_the_end():
    maps, explained = pca_over_training(growing_ring(5, 59, 29))
    score, k = circle_score(maps)
    assert k[-1] == 29 and score[-1] > 0.95 and explained[-1].sum() > 0.9
    assert explained[0].sum() < 0.5


@pytest.mark.parametrize("shape", [(1, 2, 3), (2, 3, 1), (2, 1, 4), (1, 5, 2)])
def test_pca_of_hardly_anything(shape):
    W = noise(*shape)
    maps, explained = pca_over_training(W)
    assert maps.isfinite().all() and explained.isfinite().all()
    captured = explained.sum(dim=1)
    spread = 0.0 if shape[1] == 1 else 1.0
    if min(shape[1] - 1, shape[2]) <= 2:  # at most two dimensions: nothing is left out of the last map
        assert captured[-1].item() == pytest.approx(spread)


def test_pca_of_collapsed_rows_is_zero():
    maps, explained = pca_over_training(torch.ones(2, 6, 3))
    assert (maps == 0).all() and (explained == 0).all()


def test_tsne_keeps_neighbours_and_moves_little():
    W = growing_ring(6, 40, 3)
    maps, kl = tsne_over_training(W)
    assert maps.shape == (6, 40, 2) and maps.dtype == torch.float32 and kl.shape == (6,)
    assert maps.isfinite().all() and ((kl > 0) & (kl < 2)).all()
    assert trustworthiness(W[-1], maps[-1]) > 0.9
    assert trustworthiness(W[-1], maps[-1][shuffled(40)]) < 0.8  # control: the same map, rows misnamed
    score, k = circle_score(maps[-1])
    assert k == 3 and score > circle_score_null(40)
    independent = torch.cat([tsne_over_training(snapshot[None])[0] for snapshot in W])
    assert mean_move(maps) < 0.5 * mean_move(independent)


def test_tsne_repeats_itself_ignores_scale_and_leaves_the_global_generators_alone():
    W = growing_ring(2, 15, 2)
    before = generator_states()
    first = tsne_over_training(W)
    assert generator_states() == before
    assert torch.equal(tsne_over_training(W)[0], first[0])
    assert torch.equal(tsne_over_training(W * 2.0**80)[0], first[0])  # squares overflow float32
    assert torch.equal(tsne_over_training(W * 2.0**-80)[0], first[0])
    assert not torch.equal(tsne_over_training(W.flip(0))[0], first[0])  # control


@pytest.mark.parametrize("n", [4, 5, 7])
def test_tsne_of_few_rows(n):
    maps, kl = tsne_over_training(noise(2, n, 3))
    assert maps.isfinite().all() and (kl < 2).all()
    distances = torch.pdist(maps[-1])
    assert distances.min() > 0


def test_tsne_of_equal_rows():
    W = clusters(5, 4, 0.0).expand(2, 20, 8)
    maps, kl = tsne_over_training(W)
    groups = maps.reshape(2, 5, 4, 2)
    assert (groups == groups[:, :, :1]).all() and (kl > 0).all()
    assert torch.pdist(groups[1, :, 0]).min() > 0  # control: different rows stay apart
    collapsed_last = torch.stack([noise(6, 3), torch.ones(6, 3)])
    maps, kl = tsne_over_training(collapsed_last)
    assert (maps[1] == 0).all() and kl[1].isnan()
    assert torch.pdist(maps[0]).min() > 0 and kl[0].isfinite()
    maps, kl = tsne_over_training(collapsed_last.flip(0))
    assert kl.isnan().tolist() == [True, False]
    assert torch.equal(maps[0], maps[1][:1].expand(6, 2))  # all equal rows share one point


@pytest.mark.parametrize("function", [pca_over_training, tsne_over_training, umap_over_training])
def test_broken_snapshots_are_named(function):
    W = noise(3, 6, 2)
    W[1, 4, 0] = torch.nan
    with pytest.raises(ValueError, match=r"snapshot 1 of 3 has NaN or infinite rows: leave out \[1\]"):
        function(W)
    with pytest.raises(ValueError, match="at least one snapshot, got none"):
        function(W[:0])


@pytest.mark.parametrize("function", [tsne_over_training, umap_over_training])
def test_too_few_rows(function):
    with pytest.raises(ValueError, match="at least 4 rows, got 3: use PCA"):
        function(noise(2, 3, 5))


def trustworthiness_by_definition(W: torch.Tensor, points: torch.Tensor, k: int) -> float:
    rows, placed = W.tolist(), points.tolist()
    n = len(rows)
    penalty = 0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        by_row = sorted(others, key=lambda j: sum((a - b) ** 2 for a, b in zip(rows[i], rows[j], strict=True)))
        by_map = sorted(others, key=lambda j: sum((a - b) ** 2 for a, b in zip(placed[i], placed[j], strict=True)))
        penalty += sum(max(0, by_row.index(j) + 1 - k) for j in by_map[:k])
    return 1 - 2 * penalty / (n * k * (2 * n - 3 * k - 1))


@pytest.mark.parametrize(("n", "asked", "used"), [(30, 10, 10), (30, 3, 3), (20, 10, 9), (7, 10, 3), (3, 10, 1)])
def test_trustworthiness_is_its_definition_with_clipped_neighbours(n, asked, used):
    W, points = noise(n, 5), noise(n, 2, seed=1)
    assert trustworthiness(W, points, asked) == pytest.approx(trustworthiness_by_definition(W, points, used))
    assert trustworthiness(points, points, asked) == 1


def test_trustworthiness_of_two_points():
    with pytest.raises(ValueError, match="at least 3 points, got 2"):
        trustworthiness(noise(2, 5), noise(2, 2))


def test_umap_aligns_separated_clusters():
    """UMAP maps well separated clusters, which provoke its graph warning, and leaves random states alone."""
    W = torch.stack([clusters(2, 20, spread) for spread in (0.5, 0.1)])
    before = generator_states()
    maps = umap_over_training(W)
    assert generator_states() == before
    assert maps.shape == (2, 40, 2) and maps.dtype == torch.float32 and maps.isfinite().all()
    assert trustworthiness(W[-1], maps[-1]) > 0.9
    assert trustworthiness(W[-1], maps[-1][shuffled(40)]) < 0.8  # control


@pytest.mark.slow
def test_umap_repeats_itself_and_takes_one_snapshot_or_few_rows():
    W = torch.stack([clusters(2, 20, spread) for spread in (0.5, 0.1)])
    assert torch.equal(umap_over_training(W), umap_over_training(W))
    alone = umap_over_training(W[1:])
    assert alone.shape == (1, 40, 2) and trustworthiness(W[-1], alone[0]) > 0.9
    few = umap_over_training(noise(2, 4, 3))
    assert few.shape == (2, 4, 2) and few.isfinite().all()


def test_umap_is_given_a_folder_where_numba_finds_none(tmp_path, monkeypatch):
    """A cache folder is made for a stand-in of UMAP that fails as numba does without a writable cache."""
    config = importlib.import_module("numba.core.config")
    (tmp_path / "umap.py").write_text(
        "from numba.core import config\n"
        "if not config.CACHE_DIR:\n"
        "    raise RuntimeError(\"cannot cache function 'rdist': no locator available for file 'umap.py'\")\n"
        "class UMAP:\n"
        "    def __init__(self, **settings): pass\n"
        "    def fit_transform(self, X): return X[:, :2]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "umap"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(config, "CACHE_DIR", "")
    try:
        assert umap_over_training(noise(1, 5, 3)).shape == (1, 5, 2)
        assert "numba-" in config.CACHE_DIR
    finally:
        sys.modules.pop("umap", None)
