"""Runs of which little can be said, and the blocks of their pages, built once for all tests of the story."""

import math
from typing import Any

import pytest
import torch
from oracles.eight import eight_runs


@pytest.fixture(scope="session")
def runs(tmp_path_factory, one_thread):
    return eight_runs(tmp_path_factory.mktemp("eight"))


@pytest.fixture(scope="session")
def pages(runs):
    """``pages(name)``: the blocks of every section by its id, built once.

    PCA stands in for UMAP and t-SNE, which are slow; the stand-in's divergence is NaN, as t-SNE's of equal rows is.
    """
    import interp.sections.maps as maps
    from interp.maths.projections import pca_over_training
    from interp.sections import SECTIONS

    built = {}

    def flat(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return pca_over_training(rows)[0], torch.full((len(rows),), math.nan)

    def page(name: str) -> dict[str, Any]:
        if name not in built:
            with pytest.MonkeyPatch.context() as patch:  # undone at once: other tests of the session run the real ones
                patch.setattr(maps, "umap_beside", lambda rows: lambda: flat(rows)[0])
                patch.setattr(maps, "tsne_over_training", flat)
                built[name] = {section.id: section.build(runs[name]) for section in SECTIONS}
        return built[name]

    return page
