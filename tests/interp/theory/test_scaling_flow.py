"""The closed flow against gradient descent, and its late slopes and prefactors (F1 to F9, F19)."""

import math
from typing import Any

import numpy as np
import pytest
import torch

HARD, EASY = (0.25, 0.5, 0.75), (1.25, 1.5)
SMALL: dict[str, Any] = {"n": 24, "m": 96, "eta": 0.004, "steps": 3000, "seeds": 1}


def late(alpha, beta, gamma, t_max=1e6):
    from interp.theory.flow import flow, wide
    from interp.theory.spectrum import power_law

    return flow(wide(power_law(alpha, beta)), gamma, t_max)


def slope(curve, low, high):
    from interp.theory.fits import fit_slope

    at = np.geomspace(low, high, 100)
    return fit_slope(at, curve.at(at)).slope


@pytest.fixture(scope="module")
def curves():
    """``curves(alpha, beta, gamma)``: the flow to t = 1e6, computed once."""
    kept = {}

    def get(*key):
        if key not in kept:
            kept[key] = late(*key)
        return kept[key]

    return get


def drawn(config):
    """A(0) and the samples that the simulator draws for its first seed, with lambda and w*."""
    from train.scaling.problem import make_problem
    from train.streams import stream

    k = np.arange(1, config.m + 1.0)
    lam, w_star = k**-config.alpha, k ** (-0.5 - config.alpha * (config.beta - 1) / 2)
    A0 = make_problem(config).features()[0].numpy()
    rows = config.p or config.b or 1
    z = torch.randn(rows, config.m, dtype=torch.float64, generator=stream(config.seed, "data")).numpy()
    return A0, z * np.sqrt(lam), lam, w_star


@pytest.mark.parametrize("gamma", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("p", [None, 40])
def test_f1_both_dynamics_are_one(gamma, p):
    from train.scaling.config import ScalingConfig
    from train.scaling.simulate import simulate

    one, other = (
        simulate(ScalingConfig(gamma=gamma, p=p, dynamics=dynamics, **SMALL)) for dynamics in ("reduced", "matrix")
    )
    assert np.abs(one.loss - other.loss).max() < 1e-10 and np.abs(one.q - other.q).max() < 1e-10
    control = simulate(ScalingConfig(gamma=gamma + 0.01, p=p, **SMALL))
    assert np.abs(one.loss - control.loss).max() > 1e-6


def test_f1_both_dynamics_of_the_plain_form_with_its_tail():
    from train.scaling.config import ScalingConfig
    from train.scaling.simulate import simulate

    plain: dict[str, Any] = {"form": "plain", "n": 24, "m": 24, "steps": 200, "seeds": 1}
    one, other = (simulate(ScalingConfig(tail=True, dynamics=dynamics, **plain)) for dynamics in ("reduced", "matrix"))
    assert np.abs(one.loss - other.loss).max() < 1e-10
    assert (one.loss > simulate(ScalingConfig(**plain)).loss + 0.01).all()  # the control: the modes beyond count


@pytest.mark.parametrize(("gamma", "b"), [(0.0, None), (3.0, None), (3.0, 8)])
def test_f1_dynamics_are_those_of_a_plain_loop(gamma, b):
    """The simulator follows the equations of A(t) and w(t) as written, one step at a time."""
    from train.scaling.config import ScalingConfig
    from train.scaling.simulate import simulate
    from train.streams import stream

    config = ScalingConfig(gamma=gamma, b=b, n=6, m=10, eta=0.05, steps=30, seeds=1)
    A0, _, lam, w_star = drawn(config)
    generator = stream(config.seed, "data")
    A, w, losses = A0.copy(), np.zeros(6), []
    for _ in range(31):
        v = w_star - A.T @ w / 6
        losses.append((lam * v * v).sum())
        G = np.diag(lam)
        if b is not None:
            Psi = torch.randn(b, 10, dtype=torch.float64, generator=generator).numpy() * np.sqrt(lam)
            G = Psi.T @ Psi / b
        w, A = w + 0.05 * A @ G @ v, A + 0.05 * gamma * np.outer(w, G @ v) @ (A0.T @ A0 / 6)
    found = simulate(config)
    np.testing.assert_allclose(found.loss[0], np.array(losses)[found.step], rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 10.0])
def test_f2_flow_is_gradient_descent(gamma):
    from oracles.theory import modes_at

    from interp.theory.flow import flow
    from train.scaling.config import ScalingConfig
    from train.scaling.simulate import simulate

    config = ScalingConfig(gamma=gamma, **SMALL)
    found = simulate(config)
    A0 = drawn(config)[0]
    curve = flow(modes_at(A0, config.alpha, config.beta), gamma, config.t_max)
    assert np.abs(curve.at(found.t) / found.loss[0] - 1).max() < 0.005
    control = flow(modes_at(A0, config.alpha, config.beta), gamma + 0.5, config.t_max)
    assert np.abs(control.at(found.t) / found.loss[0] - 1).max() > 0.005
    assert curve.q[-1] == pytest.approx(found.q[0, -1], rel=0.005)


@pytest.mark.parametrize("gamma", [0.0, 5.0])
def test_f2_flow_on_reused_data_is_gradient_descent(gamma):
    from oracles.theory import modes_at

    from interp.theory.finite import reused
    from interp.theory.flow import flow
    from train.scaling.config import ScalingConfig
    from train.scaling.simulate import simulate

    config = ScalingConfig(gamma=gamma, p=40, **SMALL)
    found = simulate(config)
    A0, Psi, lam, w_star = drawn(config)
    curve = flow(reused(lam, w_star, Psi, A0), gamma, config.t_max)
    assert np.abs(curve.at(found.t) / found.loss[0] - 1).max() < 0.005
    population = flow(modes_at(A0, config.alpha, config.beta), gamma, config.t_max)
    assert np.abs(population.at(found.t) / found.loss[0] - 1).max() > 0.02  # the control


@pytest.mark.parametrize("alpha", [1.5, 2.0])
@pytest.mark.parametrize("beta", HARD + EASY)
def test_f3_lazy_slope(curves, alpha, beta):
    assert slope(curves(alpha, beta, 0.0), 1e4, 1e6) == pytest.approx(-beta, abs=0.01)


@pytest.mark.parametrize("alpha", [1.5, 2.0])
@pytest.mark.parametrize("beta", HARD)
@pytest.mark.parametrize("gamma", [1.0, 100.0])
def test_f4_rich_slope_of_hard_tasks(curves, alpha, beta, gamma):
    found = slope(curves(alpha, beta, gamma), 1e4, 1e6)
    assert found == pytest.approx(-2 * beta / (1 + beta), abs=0.02)
    assert found < -beta - 0.05


@pytest.mark.parametrize("alpha", [1.5, 2.0])
@pytest.mark.parametrize("beta", EASY)
def test_f5_rich_slope_of_easy_tasks(curves, alpha, beta):
    lazy, rich = (slope(curves(alpha, beta, gamma), 1e4, 1e6) for gamma in (0.0, 1.0))
    assert rich == pytest.approx(-beta, abs=0.02) and abs(rich - lazy) < 0.02


@pytest.mark.parametrize("alpha", [1.5, 2.0])
@pytest.mark.parametrize("beta", HARD + EASY)
def test_f6_prefactors(curves, alpha, beta):
    from interp.theory.exponents import lazy_loss, rich_loss

    t = np.array([1e6])
    assert curves(alpha, beta, 0.0).loss[-1] == pytest.approx(lazy_loss(alpha, beta, t)[0], rel=0.01)
    if beta < 1:
        assert curves(alpha, beta, 100.0).loss[-1] == pytest.approx(rich_loss(alpha, beta, 100.0, t)[0], rel=0.02)
        assert curves(alpha, beta, 1.0).loss[-1] > 2 * rich_loss(alpha, beta, 100.0, t)[0]  # the control
    else:
        with pytest.raises(ValueError, match="beta < 1"):
            rich_loss(alpha, beta, 100.0, t)


@pytest.mark.parametrize("beta", [0.25, 0.4, 0.5, 0.6, 0.75])
def test_f6_constants_by_another_library(beta):
    """The constants of the rich prefactor equal mpmath's integrals of its 1F1, without a change of variable."""
    import mpmath

    from interp.theory.exponents import rich_constants

    kappa = mpmath.mpf(1 - beta) / 4

    def phi(x):
        return x / (1 - kappa) * mpmath.hyp1f1(1, 2 - kappa, -x)

    def whole(f, power):
        """The integral over x > 0: by quadrature to 300, then as of c x^power."""
        near = mpmath.quad(f, [0, 1e-3, 0.1, 1, 5, 20, 100, 300])
        return near - f(mpmath.mpf(300)) * 300 / (power + 1)

    F = whole(lambda x: x ** (beta - 1) * (1 - phi(x)) ** 2, beta - 3)
    D = whole(lambda x: x ** (beta - 2) * phi(x) ** 2, beta - 2)
    assert rich_constants(beta) == pytest.approx((float(F), float(D)), rel=2e-3)


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_f7_easy_tasks_are_faster_by_the_kernel_scale(curves, alpha):
    lazy, rich = curves(alpha, 1.25, 0.0), curves(alpha, 1.25, 1.0)
    assert lazy.loss[-1] / rich.loss[-1] == pytest.approx(rich.q[-1] ** 1.25, rel=0.01)
    norm = sum(k ** (alpha * (1 - 1.25) - 1) for k in range(1, 2_000_000))  # |w*|^2, its slow tail by the integral
    norm += 2_000_000 ** (alpha * (1 - 1.25)) / (alpha * 0.25)
    assert rich.q[-1] == pytest.approx((1 + math.sqrt(1 + 4 * norm)) / 2, rel=0.01)


@pytest.mark.parametrize("beta", [0.5, 1.5])
def test_f8_discrete_descent_has_the_slopes_of_the_flow(beta):
    from interp.theory.fits import fit_slope
    from train.scaling.config import PRESETS
    from train.scaling.simulate import simulate

    slopes = {}
    for gamma, kind in ((0.0, "lazy"), (4.0, "rich")):
        found = simulate(PRESETS[f"{'hard' if beta < 1 else 'easy'}-{kind}"])
        window = np.geomspace(1, 40, 60)
        loss = np.exp(np.interp(np.log(window), np.log(found.t[1:]), np.log(found.loss[0, 1:])))
        slopes[kind] = fit_slope(window, loss).slope
        expected = fit_slope(window, late(1.5, beta, gamma, 60.0).at(window)).slope
        assert slopes[kind] == pytest.approx(expected, abs=0.02)
    if beta < 1:
        assert slopes["rich"] - slopes["lazy"] <= -0.15


def test_f9_slopes_of_narrow_models_are_no_exponents():
    from interp.theory.finite import projected
    from interp.theory.fits import fit_slope
    from interp.theory.flow import flow

    t = np.geomspace(3, 100, 60)
    for beta, gamma in ((0.5, 0.0), (0.5, 4.0), (1.5, 0.0), (1.5, 4.0)):
        modes = projected(1.5, beta, 384, np.random.default_rng(0), m=4096)
        loss = flow(modes, gamma, 100.0).at(t)
        assert abs(fit_slope(t, loss).slope + beta * (2 / (1 + beta) if gamma > 0 and beta < 1 else 1)) > 0.04
        assert "times the" in (fit_slope(t, loss, modes.residual).plateau or "")
        assert "bends" in (fit_slope(t, loss).plateau or "")
    whole = late(1.5, 0.5, 1.0).at(np.geomspace(1e4, 1e6, 60))
    assert fit_slope(np.geomspace(1e4, 1e6, 60), whole, 0.0).plateau is None  # the control: an exponent
    assert fit_slope(np.geomspace(1e4, 1e6, 60), whole).plateau is None


def test_f19_loss_falls_with_gamma_width_and_batch():
    from interp.theory.finite import nested
    from interp.theory.flow import flow
    from interp.theory.sgd import lazy_sgd
    from interp.theory.spectrum import power_law

    t = np.geomspace(0.1, 1e4, 40)
    for beta in (0.5, 1.5):
        by_gamma = np.stack([late(1.5, beta, gamma, 1e4).at(t) for gamma in (0.0, 0.1, 1.0, 10.0)])
        assert (np.diff(by_gamma, axis=0) < 0).all()
        widths = [16, 64, 256]
        draws = [
            [flow(modes, 1.0, 1e4).at(t) for modes in nested(1.5, beta, widths, np.random.default_rng(seed))]
            for seed in range(8)
        ]
        by_n = np.array(draws)  # [draw, width, t]
        change = np.diff(by_n, axis=1)
        error = change.std(axis=0, ddof=1) / math.sqrt(len(draws))
        assert (change.mean(axis=0) < 2 * error).all()
        by_b = np.stack([lazy_sgd(power_law(1.5, beta, 500), 0.1, b, np.arange(2001)) for b in (2, 8, 32, None)])
        assert (np.diff(by_b[:, 1:], axis=0) < 0).all()


def test_the_flow_is_quick_and_long(curves):
    """Few solver steps reach t = 1e8, and four times as many give an equal curve."""
    from interp.theory.flow import flow, wide
    from interp.theory.spectrum import power_law

    modes = wide(power_law(1.5, 0.5))
    curve, fine = flow(modes, 1.0, 1e8), flow(modes, 1.0, 1e8, 320)
    t = np.geomspace(1e-2, 1e8, 50)
    np.testing.assert_allclose(curve.at(t), fine.at(t), rtol=2e-3)
    assert len(curve.t) < 2000 and curve.t[-1] == 1e8


def test_grouped_modes_are_the_modes():
    from interp.theory.flow import flow, wide
    from interp.theory.spectrum import Spectrum, power_law

    k = np.arange(1, 20_001.0)
    every = Spectrum(k**-1.5, k**-1.75, np.ones(20_000))
    grouped = power_law(1.5, 0.5, 20_000)
    assert grouped.counts.sum() == 20_000 and len(grouped.lam) < 400
    assert grouped.loss == pytest.approx(every.loss, rel=1e-9) and grouped.trace == pytest.approx(every.trace, rel=1e-9)
    t = np.geomspace(0.1, 1e4, 40)  # later the last modes are learned, whose bins are as wide as any
    np.testing.assert_allclose(flow(wide(grouped), 1.0, 1e5).at(t), flow(wide(every), 1.0, 1e5).at(t), rtol=1e-3)


def test_bad_tasks_are_refused():
    from interp.theory.checks import OutOfRange
    from interp.theory.finite import projected, reused
    from interp.theory.flow import flow, wide
    from interp.theory.spectrum import power_law

    for alpha, beta in ((1.0, 0.5), (0.5, 0.5), (math.nan, 1.0), (1.5, 0.0), (1.5, -1.0)):
        with pytest.raises(OutOfRange, match="is not allowed"):
            power_law(alpha, beta)
    modes = wide(power_law(1.5, 0.5, 50))
    for gamma, t_max in ((-1.0, 10.0), (math.nan, 1.0), (1.0, 0.0), (1.0, math.inf)):
        with pytest.raises(OutOfRange, match="is not allowed"):
            flow(modes, gamma, t_max)
    with pytest.raises(OutOfRange, match="n = 0"):
        projected(1.5, 0.5, 0, np.random.default_rng(0))
    with pytest.raises(OutOfRange, match="not finite"):
        reused(np.ones(3), np.ones(3), np.array([[1.0, np.nan, 0.0]]))
