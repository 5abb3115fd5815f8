"""Models saved by TransformerLens 3.9 itself are imported with their own logits."""

import json
from typing import Any

import pytest
import torch
import transformer_lens

from interp.importers.__main__ import main
from interp.runs.finding import open_run
from tests.compat.models import P, only_3

pytestmark = [only_3, pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")]


@pytest.mark.parametrize("norm", [None, "LN", "LNPre"])
@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("attn_only", [False, True])
def test_its_model_and_its_whole_config_are_taken(tmp_path, norm, direction, attn_only):
    """The config is read from JSON beside the file and from the config object inside the file."""
    package: Any = transformer_lens
    cfg = package.HookedTransformerConfig(
        n_layers=2,
        d_model=12,
        n_heads=3,
        d_head=5,
        d_mlp=20,
        n_ctx=3,
        d_vocab=P + 1,
        d_vocab_out=P,
        act_fn="gelu_new",
        attn_only=attn_only,
        normalization_type=norm,
        attention_dir=direction,
        seed=5,
        device="cpu",
    )
    model = package.HookedTransformer(cfg).eval()
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(6)))
    states = [{name: t.clone() for name, t in model.state_dict().items()} for _ in range(2)]
    content = {"model": states[1], "checkpoints": states, "checkpoint_epochs": [99, 199]}
    torch.save(content, tmp_path / "demo.pth")
    torch.save({**content, "config": cfg}, tmp_path / "object.pth")
    (tmp_path / "demo.json").write_text(json.dumps(cfg.to_dict(), default=str))
    for name in ("demo", "object"):
        flags = ["--layout", "transformerlens", "--op", "add", "--out", str(tmp_path / name)]
        assert main([str(tmp_path / f"{name}.pth"), *flags]) == 0
        run = open_run(tmp_path / name)
        expected = model(run.task.tokens)[:, -1]
        assert run.steps == [100, 200] and run.config.model.attn_only == attn_only
        assert torch.allclose(run.last.logits, expected, rtol=0, atol=1e3 * torch.finfo(torch.float32).eps)
