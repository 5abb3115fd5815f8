"""Plateaus, transients and compute fronts (F10, F11, F13 to F15 of the specification), and exponents."""

import math

import numpy as np
import pytest

PLATEAUS = [(1.5, 0.5), (1.5, 1.5), (1.25, 3.0)]
M = 6000
SIZES = [16, 32, 64, 128, 256]


def modes_of(alpha, beta, m):
    """lambda_k and w*_k."""
    k = np.arange(1, m + 1.0)
    return k**-alpha, k ** (-0.5 - alpha * (beta - 1) / 2)


def slope_of(x, y):
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


@pytest.mark.parametrize(("alpha", "beta"), PLATEAUS)
def test_f10_model_plateau(alpha, beta):
    """The best fit in the row space of A(0), by projecting the target onto it: 6 draws."""
    from oracles.theory import modes_at

    from interp.theory.plateaus import model_plateau
    from interp.theory.spectrum import power_law

    lam, w_star = modes_of(alpha, beta, M)
    found = np.zeros((6, len(SIZES)))
    for draw in range(6):
        A = np.random.default_rng(draw).standard_normal((256, M))
        for i, n in enumerate(SIZES):
            rows, target = A[:n] * np.sqrt(lam), np.sqrt(lam) * w_star
            best = np.linalg.lstsq(rows.T, target, rcond=None)[0]
            found[draw, i] = ((target - rows.T @ best) ** 2).sum()
            if draw == 0 and n == 64:
                assert modes_at(A[:n], alpha, beta).residual == pytest.approx(found[draw, i], rel=1e-6)
    theory = [model_plateau(power_law(alpha, beta, M), n) for n in SIZES]
    measured, expected = slope_of(SIZES, found.mean(axis=0)), slope_of(SIZES, theory)
    assert measured == pytest.approx(expected, abs=0.12)
    assert expected == pytest.approx(-alpha * min(1, beta), abs=0.05)
    np.testing.assert_allclose(found.mean(axis=0), theory, rtol=0.5)
    if beta > 1:  # the published min(2, beta) is excluded
        assert abs(measured + alpha * min(2, beta)) > 0.5


@pytest.mark.parametrize(("alpha", "beta"), PLATEAUS)
def test_f11_data_plateau(alpha, beta):
    """Ridgeless regression in the sample's kernel: 6 draws."""
    from interp.theory.plateaus import data_plateau
    from interp.theory.spectrum import power_law

    lam, w_star = modes_of(alpha, beta, M)
    found = np.zeros((6, len(SIZES)))
    for draw in range(6):
        Psi = np.random.default_rng(draw).standard_normal((256, M)) * np.sqrt(lam)
        for i, p in enumerate(SIZES):
            w = Psi[:p].T @ np.linalg.solve(Psi[:p] @ Psi[:p].T, Psi[:p] @ w_star)
            found[draw, i] = (lam * (w_star - w) ** 2).sum()
    measured = slope_of(SIZES, np.exp(np.log(found).mean(axis=0)))
    theory = slope_of(SIZES, [data_plateau(power_law(alpha, beta, M), p) for p in SIZES])
    assert measured == pytest.approx(-alpha * min(2, beta), abs=0.2)
    assert theory == pytest.approx(-alpha * min(2, beta), abs=0.2)
    if beta > 1:
        assert abs(measured + alpha) > 0.5  # the control: min(1, beta), which holds for the width


def test_reused_data_end_at_the_data_plateau():
    from interp.theory.finite import reused
    from interp.theory.flow import flow
    from interp.theory.plateaus import data_plateau
    from interp.theory.spectrum import power_law

    lam, w_star = modes_of(1.5, 0.5, 400)
    ends = []
    for draw in range(10):
        Psi = np.random.default_rng(draw).standard_normal((20, 400)) * np.sqrt(lam)
        curve = flow(reused(lam, w_star, Psi), 0.0, 1e6)
        w = Psi.T @ np.linalg.solve(Psi @ Psi.T, Psi @ w_star)
        assert curve.loss[-1] == pytest.approx((lam * (w_star - w) ** 2).sum(), rel=1e-6)
        ends.append(curve.loss[-1])
    assert np.mean(ends) == pytest.approx(data_plateau(power_law(1.5, 0.5, 400), 20), rel=0.1)


def test_f13_transient_of_sgd():
    from interp.theory.sgd import lazy_sgd
    from interp.theory.spectrum import Spectrum
    from train.scaling.config import PRESETS
    from train.scaling.simulate import simulate

    config = PRESETS["super-easy-sgd"]
    k = np.arange(1, config.m + 1.0)
    spectrum = Spectrum(k**-1.5, k ** -(1 + 1.5 * 3), np.ones(config.m))
    steps = np.unique(np.geomspace(60 / config.eta, 900 / config.eta, 60).astype(int))
    mean, exact = (lazy_sgd(spectrum, config.eta, b, steps) for b in (config.b, None))
    expected = -(2 - 1 / 1.5)
    assert slope_of(steps, mean) == pytest.approx(expected, abs=0.03)
    assert slope_of(steps, exact) == pytest.approx(-3, abs=0.1)  # the control: no noise of batches
    found = simulate(config)
    inside = (found.t >= 60) & (found.t <= 900)
    assert slope_of(found.t[inside], found.loss.mean(axis=0)[inside]) == pytest.approx(expected, abs=0.1)


@pytest.fixture(scope="module")
def nested_draws():
    """48 draws of A(0), each at width 256 and 512; the modes are the same for every gamma."""
    from interp.theory.finite import nested

    return [nested(2.0, 1.5, [256, 512], np.random.default_rng(i)) for i in range(48)]


@pytest.mark.parametrize("gamma", [0.0, 10.0])
def test_f14_transient_of_width(nested_draws, gamma):
    """Single draws differ by as much as they are. Half of the usual steps a decade, as the fronts take them."""
    from interp.theory.flow import flow, wide
    from interp.theory.spectrum import power_law

    t = np.geomspace(20, 2000, 40)
    limit = flow(wide(power_law(2.0, 1.5)), gamma, 2000.0).at(t)
    draws = [[flow(modes, gamma, 2000.0, 40).at(t) - limit for modes in widths] for widths in nested_draws]
    narrow, wider = np.mean(draws, axis=0)
    assert slope_of(t, wider) == pytest.approx(-(1 - 1 / 2), abs=0.1)
    assert 1.7 < float(np.exp(np.log(narrow / wider).mean())) < 2.7
    assert slope_of(t, limit) < -1.2  # the control: without the width's part


FRONTS = {(0.4, 0.0): 0.03, (0.4, 100.0): 0.03, (1.2, 0.0): 0.05, (1.2, 100.0): 0.05}


def test_feature_learning_pays_on_hard_tasks():
    """F15's last line at fewer widths and a third of its draws."""
    from interp.theory.fronts import fronts

    pair = [(0.4, 0.0), (0.4, 100.0)]
    lazy, rich = (one.exponents()[0] for one in fronts(1.5, pair, [16 * 2**i for i in range(6)], draws=8))
    assert rich - lazy > 0.03


@pytest.mark.slow
def test_f15_compute_fronts():
    """N = 16 to 1024 by twos. Means over A(0) that are better than the tolerance: 24 draws."""
    from interp.theory.exponents import exponents
    from interp.theory.fronts import fronts

    widths = [16 * 2**i for i in range(7)]
    found = {key: one.exponents() for key, one in zip(FRONTS, fronts(1.5, list(FRONTS), widths, draws=24), strict=True)}
    for (beta, gamma), tolerance in FRONTS.items():
        predicted = exponents(1.5, beta, gamma)
        assert found[beta, gamma] == pytest.approx((predicted.compute, predicted.n_opt), abs=tolerance)
    assert found[0.4, 100.0][0] - found[0.4, 0.0][0] > 0.03  # feature learning pays on hard tasks


def test_a_front_needs_widths():
    from interp.theory.checks import OutOfRange
    from interp.theory.fronts import fronts

    with pytest.raises(OutOfRange, match="2 widths"):
        fronts(1.5, [(0.5, 0.0)], [16, 32])


def test_exponents_of_the_table():
    from interp.theory.exponents import chi, exponents

    assert exponents(1.5, 0.5, 1.0).to_json() == {
        "regime": "hard", "time": pytest.approx(2 / 3), "model": 0.75, "data": None,
        "compute": pytest.approx(6 / 17), "n_opt": pytest.approx(8 / 17), "t_opt": pytest.approx(9 / 17),
    }  # fmt: skip
    lazy = exponents(1.5, 0.5, 0.0)
    assert (lazy.time, lazy.data, lazy.compute, lazy.n_opt) == pytest.approx((0.5, 0.75, 0.3, 0.4))
    super_easy = exponents(1.5, 3.0, 1.0)
    assert (super_easy.regime, super_easy.model, super_easy.n_opt) == ("super-easy", 1.5, 0.5)
    assert super_easy.compute == pytest.approx(2 / 3)
    assert exponents(1.5, 3.0, 0.0).data == 3.0
    assert exponents(1.5, 3.0, 1.0, infinite_batch=True).compute == pytest.approx(4.5 / 5.5)
    gain = max(np.linspace(0.01, 0.99, 9801), key=lambda beta: chi(beta) - beta)
    assert gain == pytest.approx(math.sqrt(2) - 1, abs=1e-3) and chi(gain) - gain == pytest.approx(3 - 2 * math.sqrt(2))


@pytest.mark.parametrize("alpha", [1.2, 1.5, 3.0])
@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_exponents_are_continuous_and_regimes_change_where_they_should(alpha, gamma):
    from interp.theory.exponents import exponents, regime

    for border, kinds in ((1.0, ("hard", "easy")), (2 - 1 / alpha, ("easy", "super-easy"))):
        below, above = (exponents(alpha, border + side, gamma) for side in (-1e-9, 1e-9))
        assert (regime(alpha, border - 1e-9), regime(alpha, border + 1e-9)) == kinds
        for name in ("time", "model", "compute", "n_opt", "t_opt"):
            assert getattr(below, name) == pytest.approx(getattr(above, name), abs=1e-7)


@pytest.mark.parametrize("beta", [0.3, 0.7, 1.1, 1.25])
@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_optimal_exponents_balance_the_terms_they_come_from(beta, gamma):
    """At N = C^n, t = C^(1-n) the two leading terms are equal: minimised by brute force over n."""
    from interp.theory.exponents import exponents

    alpha, found = 1.5, exponents(1.5, beta, gamma)
    n = np.linspace(0, 1, 100_001)
    flow_term = found.time * (1 - n)
    width_term = n + (1 - 1 / alpha) * (1 - n) if beta > 1 else alpha * beta * n
    best = np.minimum(flow_term, width_term)
    assert best.max() == pytest.approx(found.compute, abs=1e-4)
    assert n[best.argmax()] == pytest.approx(found.n_opt, abs=1e-4)


@pytest.mark.parametrize("b", [None, 4])
def test_all_steps_at_once_are_the_recursion(b):
    """The specification's recursion as a loop, modes in groups and power that is never learned included."""
    from interp.theory.sgd import lazy_sgd
    from interp.theory.spectrum import Spectrum, power_law

    bins = power_law(1.5, 0.8, 5000)
    lam, counts, V, eta, found = bins.lam, bins.counts, bins.w_star**2, 0.2, []
    for _ in range(501):
        L = lam @ V + 0.01
        found.append(L)
        V = (1 - eta * lam) ** 2 * V + (0 if b is None else eta**2 / b) * (counts * lam * L + lam**2 * V)
    spectrum = Spectrum(lam, bins.power, counts, 0.01)
    np.testing.assert_allclose(lazy_sgd(spectrum, eta, b, np.arange(501)), found, rtol=1e-10)


def test_batches_at_a_finite_width_are_the_mean_of_simulations():
    """One A(0), drawn as the simulator draws it: only batches differ from run to run."""
    import torch
    from oracles.theory import modes_at

    from interp.theory.sgd import lazy_sgd

    lam, w_star = modes_of(1.5, 0.8, 60)
    A, eta, b = np.random.default_rng(0).standard_normal((12, 60)), 0.2, 4
    Phi, generator = torch.tensor(A * np.sqrt(lam)), torch.Generator().manual_seed(0)
    runs, target = 5_000, torch.tensor(np.sqrt(lam) * w_star)
    w, losses = torch.zeros(runs, 12, dtype=torch.float64), []
    for _ in range(41):
        far = target - w @ Phi / 12
        losses.append((far**2).sum(dim=1))
        z = torch.randn(runs, b, 60, dtype=torch.float64, generator=generator)
        w += eta * ((z @ far[:, :, None]).mT @ z)[:, 0] @ Phi.T / b
    loss = torch.stack(losses, dim=1).numpy()
    mean, error = loss.mean(axis=0), loss.std(axis=0, ddof=1) / math.sqrt(runs)
    theory = lazy_sgd(modes_at(A, 1.5, 0.8), eta, b, np.arange(41))
    assert (np.abs(theory - mean)[1:] < 4 * error[1:]).all()
    still = lazy_sgd(modes_at(A, 1.5, 0.8), eta, None, np.arange(41))
    assert (np.abs(still - mean)[20:] > 10 * error[20:]).all()  # the control: no noise of batches


@pytest.mark.parametrize(
    ("widths", "draws"),
    [([24 * 2**i for i in range(6)], 4), pytest.param([16 * 2**i for i in range(7)], 8, marks=pytest.mark.slow)],
)
def test_front_of_a_super_easy_task_with_batches(widths, draws):
    """Balance of the transients of batches and of width: C^-(1 - 1/(2 alpha)), N ~ C^(1/2).

    A front of six widths shows both exponents, to the same tolerances as one of seven with twice the draws.
    """
    from interp.theory.exponents import exponents
    from interp.theory.fronts import fronts

    predicted = exponents(1.5, 2.0, 0.0)
    found = fronts(1.5, [(2.0, 0.0)], widths, draws=draws, b=1, eta=0.3)[0].exponents()
    assert predicted.regime == "super-easy"
    assert found == pytest.approx((predicted.compute, predicted.n_opt), abs=0.06)
    population = fronts(1.5, [(2.0, 0.0)], widths, draws=draws)[0].exponents()  # the control: 0.75 and 0.625
    assert population[0] > found[0] + 0.05 and population[1] > found[1] + 0.05


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"gamma": 1.0, "b": 4, "eta": 0.1}, "give gamma 0, or leave out b"),
        ({"gamma": 0.0, "b": 4}, "b and eta go together"),
        ({"gamma": 0.0, "eta": 0.1}, "b and eta go together"),
        ({"gamma": 0.0, "b": 0, "eta": 0.1}, "b = 0 is not allowed"),
    ],
)
def test_fronts_with_batches_refuse(given, says):
    from interp.theory.checks import OutOfRange
    from interp.theory.fronts import fronts

    with pytest.raises(OutOfRange, match=says):
        fronts(1.5, [(2.0, given.pop("gamma"))], [4, 8, 16], **given)


def test_unstable_step_sizes_are_refused():
    from interp.theory.checks import OutOfRange, Unsolvable
    from interp.theory.sgd import lazy_sgd
    from interp.theory.spectrum import power_law

    with pytest.raises(Unsolvable, match=r"eta = 2.5 is unstable with batches of 32: try 0.9"):
        lazy_sgd(power_law(1.5, 0.5, 50), 2.5, 32, np.arange(10))
    with pytest.raises(Unsolvable, match=r"eta = 2.5 is unstable with batches of everything"):
        lazy_sgd(power_law(1.5, 0.5, 50), 2.5, None, np.arange(10))
    with pytest.raises(OutOfRange, match="eta = 0 is not allowed"):
        lazy_sgd(power_law(1.5, 0.5, 50), 0.0, 32, np.arange(10))


def test_a_fit_needs_numbers():
    from interp.theory.checks import OutOfRange
    from interp.theory.fits import fit_slope

    t = np.arange(1, 20.0)
    for bad in (np.full(19, np.nan), np.zeros(19), -t):
        with pytest.raises(OutOfRange, match="positive and finite"):
            fit_slope(t, bad)
    with pytest.raises(OutOfRange, match="3 points"):
        fit_slope(t[:3], t[:3])


@pytest.mark.parametrize("beta", [0.02, 0.05, 0.5, 0.95, 0.99])
def test_constants_of_the_rich_prefactor(beta):
    """By mpmath in log x, the powers outside in closed form; near 0 and 1 those are much of it."""
    import mpmath

    from interp.theory.exponents import rich_constants

    kappa = mpmath.mpf(1 - beta) / 4

    def phi(x):
        return x / (1 - kappa) * mpmath.hyp1f1(1, 2 - kappa, -x)

    def over(f, low, high):
        return mpmath.quad(lambda s: f(mpmath.exp(s)) * mpmath.exp(s), [low, -5, 0, 3, 8, high])

    F = over(lambda x: x ** (beta - 1) * (1 - phi(x)) ** 2, -30, 40) + mpmath.exp(-30 * beta) / beta
    D = over(lambda x: x ** (beta - 2) * phi(x) ** 2, -30, 40) + mpmath.exp(-40 * (1 - beta)) / (1 - beta)
    assert rich_constants(beta) == pytest.approx((float(F), float(D)), rel=1e-5)


def test_flows_of_flat_spectra_have_no_plateau_where_modes_end():
    """For alpha near 1, 1e12 modes are too few for the late flow, yet its loss is the closed form."""
    from interp.theory.exponents import lazy_loss, rich_loss
    from interp.theory.flow import flow, wide
    from interp.theory.spectrum import power_law

    task, t = power_law(1.1, 0.25), np.array([1e14])
    assert flow(wide(task), 0.0, 1e14).loss[-1] == pytest.approx(lazy_loss(1.1, 0.25, t)[0], rel=0.01)
    t = np.array([1e5])
    assert flow(wide(task), 1e8, 1e5).loss[-1] == pytest.approx(rich_loss(1.1, 0.25, 1e8, t)[0], rel=0.02)
    cut = power_law(1.1, 0.25, 10**12)
    assert flow(wide(cut), 0.0, 1e14).loss[-1] < 0.1 * lazy_loss(1.1, 0.25, np.array([1e14]))[0]  # control


def test_plateaus_count_what_is_left_out_and_end_where_there_are_no_more_modes():
    from interp.theory.plateaus import data_plateau, model_plateau
    from interp.theory.spectrum import power_law

    flat = power_law(1.1, 0.02)
    assert flat.loss > model_plateau(flat, 64) > flat.beyond > 1
    few = power_law(1.5, 0.5, 20)
    assert model_plateau(few, 20) == data_plateau(few, 30) == 0.0
    assert model_plateau(few, 19) > 0


def test_widths_beyond_the_modes_fit_all():
    from interp.theory.finite import projected
    from interp.theory.flow import flow

    modes = projected(1.5, 1.5, 16, np.random.default_rng(0), 4)
    assert (modes.sigma > 0).sum() == 4 and modes.residual == 0.0
    loss = flow(modes, 1.0, 1e3).loss
    assert np.isfinite(loss).all() and loss[-1] < 1e-20


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_the_simulators_tail_stands_for_modes(gamma):
    """64 modes and the tail against 4,096 of them and the tail of those: the mean over seeds."""
    from train.scaling.config import ScalingConfig
    from train.scaling.simulate import simulate

    few, many, cut = (
        simulate(ScalingConfig(alpha=1.2, gamma=gamma, n=8, m=m, tail=tail, eta=0.2, steps=200, seeds=200))
        for m, tail in ((64, True), (4096, True), (64, False))
    )
    error = np.hypot(few.loss.std(axis=0), many.loss.std(axis=0)) / math.sqrt(200)
    assert (np.abs(few.loss.mean(axis=0) - many.loss.mean(axis=0)) <= 3 * error + 1e-12).all()
    assert (np.abs(cut.loss.mean(axis=0) - many.loss.mean(axis=0))[-1] > 5 * error[-1]).all()  # control
