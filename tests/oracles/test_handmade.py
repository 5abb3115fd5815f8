"""The hand-made model does what its formula says, and the control with too few phases does not."""

import pytest
import torch
from oracles.handmade import handmade_logits, handmade_model


def answers(model, p):
    from train.config.run import RunConfig
    from train.config.task import TaskConfig
    from train.tasks.task import make_task

    task = make_task(RunConfig(task=TaskConfig(p=p)))
    with torch.no_grad():
        logits = model(task.tokens)[:, -1]
    return logits, task.labels[:, 0]


@pytest.mark.parametrize(("p", "keys"), [(113, [14]), (59, [5]), (97, [40]), (113, [14, 35, 56])])
def test_answers_every_pair(p, keys):
    logits, labels = answers(handmade_model(p, keys), p)
    assert (logits.argmax(-1) == labels).all()


def test_logits_are_the_closed_form():
    logits, _ = answers(handmade_model(23, [3, 5]), 23)
    torch.testing.assert_close(logits, handmade_logits(23, [3, 5]), rtol=0, atol=1e3 * torch.finfo(torch.float64).eps)


def test_control_three_phases_alias():
    logits, labels = answers(handmade_model(113, [14], n_phases=3), 113)
    assert (logits.argmax(-1) == labels).double().mean() < 0.5
