"""UMAP in another process gives the maps of this one, and this one's errors where the other fails."""

import pytest
import torch


@pytest.fixture
def W() -> torch.Tensor:
    return torch.randn(3, 11, 6, generator=torch.Generator().manual_seed(0)).double()


def test_arrays_go_to_the_other_process_and_back(W, monkeypatch):
    """With another map in place of UMAP, whose compilation takes most of the time."""
    from interp.maths import beside

    real = "from interp.maths.projections import umap_over_training"
    assert real in beside.CHILD
    monkeypatch.setattr(
        beside, "CHILD", beside.CHILD.replace(real, "umap_over_training = lambda W: 2 * W[..., :2].float()")
    )
    result = beside.umap_beside(W)
    monkeypatch.setattr(beside, "umap_over_training", lambda W: pytest.fail("the other process failed"))
    assert torch.equal(result(), 2 * W[..., :2].float()) and torch.equal(result(), result())


@pytest.mark.slow
def test_the_other_process_gives_the_same_maps(W, monkeypatch):
    from interp.maths import beside

    here = beside.umap_over_training
    result = beside.umap_beside(W)
    monkeypatch.setattr(beside, "umap_over_training", lambda W: pytest.fail("the other process failed"))
    assert torch.equal(result(), here(W))
    assert not torch.equal(result(), here(W + 0.1 * W**2))  # the control


def test_where_the_other_process_fails_this_one_computes(W, monkeypatch):
    from interp.maths import beside

    monkeypatch.setattr(beside, "CHILD", "raise SystemExit(3)")
    monkeypatch.setattr(beside, "umap_over_training", lambda rows: rows[..., :2].float())
    assert torch.equal(beside.umap_beside(W)(), W[..., :2].float())
