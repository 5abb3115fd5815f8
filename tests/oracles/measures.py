"""The measures computed from their definitions: dense projectors, cubes over (a, b, c), one frequency at a time.

Slow and plain on purpose, in numpy, from the model's full forward pass; nothing of ``interp`` is used. It is the
oracle of the tests and the other side of ``tests/benchmarks/measures.py``.
"""

import math
import random

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import explained_variance_score

STABLE = """train_loss test_loss all_loss train_acc test_acc all_acc total_norm key_freqs logit_cos logit_fve
restricted_loss_logit2d_all restricted_loss_logit2d_test restricted_loss_logit2d_train excluded_loss_logit2d_train
excluded_loss_logit2d_train_by_freq excluded_loss_logit3d_train restricted_loss_neuron_test restricted_loss_neuron_all
excluded_loss_neuron_train neuron_fraction_fve85 neuron_clusters W_E_energy W_L_energy gini_W_E gini_W_L
gradient_symmetricity distance_irrelevance distance_irrelevance_best_wrong circularity""".split()
"""Measures whose names are stable."""
SIGN = {"add": 1, "sub": -1, "mul": 1, "div": -1, "compose": 1}


def places(op: str, p: int) -> list[int]:
    """Elements in the order of their cycle: residues, or powers of the smallest primitive root."""
    if op not in ("mul", "div"):
        return list(range(p))
    for root in range(1, p):
        powers = [pow(root, e, p) for e in range(p - 1)]
        if len(set(powers)) == p - 1:
            return powers
    raise AssertionError(p)


def nll(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log-softmax at the label, in float64."""
    top = logits.max(axis=1, keepdims=True)
    logsum = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return logsum - logits[np.arange(len(labels)), labels]


class Direct:
    """The measures of one snapshot, each computed on its own from the logits and neurons of one forward pass."""

    def __init__(self, snap, keys: list[int]) -> None:
        task, cfg = snap.task, snap.model.cfg
        self.snap, self.keys, self.op = snap, keys, task.table.op
        self.p = task.table.n
        self.order = places(self.op, self.p)
        self.n = len(self.order)
        place = {element: i for i, element in enumerate(self.order)}
        with torch.no_grad():
            logits, cache = snap.model.run_with_cache(task.tokens)
        at = task.answer_positions[0]
        self.whole = logits[:, at].double().numpy()
        self.labels = task.labels[:, 0].numpy()
        self.pairs = task.pairs.tolist()
        self.inside = [i for i, (a, b) in enumerate(self.pairs) if a in place and b in place]
        self.x = np.array([place[self.pairs[i][0]] for i in self.inside])
        self.z = np.array([place[self.pairs[i][1]] for i in self.inside])
        self.t = (self.x + SIGN[self.op] * self.z) % self.n
        self.L = self.whole[self.inside][:, : self.p]
        post = cache[f"blocks.{cfg.n_layers - 1}.mlp.hook_post"]
        self.H = post[:, min(at, post.shape[1] - 1)].double().numpy()[self.inside]
        self.y = self.labels[self.inside]
        train = None if task.is_train is None else task.is_train.numpy()
        defined = task.is_defined.numpy()
        self.train = train
        self.rows = {"all": defined} if train is None else {"train": train, "test": ~train & defined, "all": defined}
        weights = {name: t.double().numpy() for name, t in snap.model.state_dict().items()}
        self.W_E, self.W_U = weights["embed.W_E"][self.order], weights["unembed.W_U"][:, : self.p]
        last = f"blocks.{cfg.n_layers - 1}.mlp.W_out"
        self.W_L = weights[last] @ self.W_U if last in weights else self.W_U
        self.weights = weights

    # ---- bases -----------------------------------------------------------------------------------

    def basis(self) -> list[list[np.ndarray]]:
        """Orthonormal vectors by frequency 0..n//2: constant; cos and sin; the cosine alone at k = n/2."""
        j, n = np.arange(self.n), self.n
        found = [[np.ones(n) / math.sqrt(n)]]
        for k in range(1, n // 2 + 1):
            waves = [np.cos(2 * np.pi * k * j / n)] + ([] if 2 * k == n else [np.sin(2 * np.pi * k * j / n)])
            found.append([wave / np.linalg.norm(wave) for wave in waves])
        return found

    def pair_waves(self, k: int) -> list[np.ndarray]:
        """Unit cos and sin of w t over the pairs."""
        return [(wave := b[self.t]) / np.linalg.norm(wave) for b in self.basis()[k]]

    def cube(self, k: int) -> np.ndarray:
        """Unit cos w (t - c) over the pairs and the cycle's answers."""
        c = np.arange(self.n)
        q = np.cos(2 * np.pi * k * (self.t[:, None] - c) / self.n)
        return q / np.linalg.norm(q)

    def project(self, X: np.ndarray, ks: list[int]) -> np.ndarray:
        """Parts of each column of X [pairs, m] at cos and sin of w t."""
        return np.sum([np.outer(u, u @ X) for k in ks for u in self.pair_waves(k)], axis=0)

    def on(self, subset: str) -> np.ndarray:
        """Mask of a subset over the pairs inside the cycle."""
        return self.rows[subset][self.inside]

    def loss(self, Z: np.ndarray, subset: str) -> float:
        """Mean loss over a subset, from logits of the pairs inside the cycle."""
        chosen = self.on(subset)
        return float(nll(Z[chosen], self.y[chosen]).mean())

    # ---- measures --------------------------------------------------------------------------------

    def losses(self) -> dict[str, float]:
        """Loss and accuracy of each subset."""
        found = {}
        for name, rows in self.rows.items():
            found[f"{name}_loss"] = float(nll(self.whole[rows], self.labels[rows]).mean())
            found[f"{name}_acc"] = float((self.whole[rows].argmax(axis=1) == self.labels[rows]).mean())
        return found

    def energy(self, W: np.ndarray) -> dict[int, float]:
        """Share of the squared norm of W [n, d] at each frequency."""
        total = (W**2).sum()
        return {k: sum(((u @ W) ** 2).sum() for u in us) / total for k, us in enumerate(self.basis()) if k}

    def gini(self, W: np.ndarray) -> float:
        """Gini coefficient of Fourier norms, with the constant's norm."""
        x = sorted(float(np.linalg.norm(u @ W)) for us in self.basis() for u in us)
        n, total = len(x), sum(x)
        return 1 - 2 * sum(value / total * (n - i + 0.5) / n for i, value in enumerate(x, start=1))

    def cosines(self) -> dict[int, float]:
        """Cosine of the centred logits with each cube cos w (t - c)."""
        L = self.L[:, self.order]
        L = L - L.mean(axis=1, keepdims=True)
        return {k: float((L * self.cube(k)).sum() / np.linalg.norm(L)) for k in range(1, self.n // 2 + 1)}

    def fve(self) -> np.ndarray:
        """Share of each neuron's variance [n_freqs, d_mlp], by the neuron's two-dimensional transform."""
        X = np.zeros((self.n, self.n, self.H.shape[1]))
        X[self.x, self.z] = self.H - self.H.mean(axis=0)
        basis = self.basis()
        total = (X**2).sum(axis=(0, 1))
        found = []
        for k in range(1, self.n // 2 + 1):
            terms = [*basis[0], *basis[k]]
            parts = [
                np.einsum("i,j,ijm->m", u, v, X) ** 2 for i, u in enumerate(terms) for j, v in enumerate(terms) if i + j
            ]
            found.append(sum(parts) / np.where(total > 0, total, 1))
        return np.array(found)

    def restricted_2d(self, subset: str) -> float:
        """Restricted loss (2D): the logits' parts at key frequencies, with their means restored."""
        P = self.project(self.L, self.keys)
        return self.loss(P + (self.L - P).mean(axis=0), subset)

    def excluded_2d(self, ks: list[int]) -> float:
        """Training loss without the logits' parts at key frequencies (2D)."""
        return self.loss(self.L - self.project(self.L, ks), "train")

    def excluded_3d(self) -> float:
        """Training loss without the logits' parts along the cubes."""
        Z = self.L.copy()
        inner = self.L[:, self.order]
        Z[:, self.order] -= sum((inner * self.cube(k)).sum() * self.cube(k) for k in self.keys)
        return self.loss(Z, "train")

    def restricted_neuron(self, subset: str) -> float:
        """Loss from the neurons' parts at key frequencies, with the means of neurons and of logits restored."""
        Z = (self.H.mean(axis=0) + self.project(self.H, self.keys)) @ self.W_L
        return self.loss(Z - Z.mean(axis=0) + self.L.mean(axis=0), subset)

    def excluded_neuron(self) -> float:
        """Training loss without the contribution of the neurons' parts at key frequencies."""
        return self.loss(self.L - self.project(self.H, self.keys) @ self.W_L, "train")

    def irrelevance(self, wrong: bool) -> float:
        """Distance irrelevance of the right or of the largest wrong logit, line by line over differences."""
        values = self.L[np.arange(len(self.y)), self.y]
        if wrong:
            rest = self.L.copy()
            rest[np.arange(len(self.y)), self.y] = -np.inf
            values = rest.max(axis=1)
        d = (self.x - SIGN[self.op] * self.z) % self.n
        return float(np.mean([values[d == i].std() for i in range(self.n)]) / values.std())

    def symmetricity(self) -> float:
        """Gradient symmetricity, one triple at a time, by autograd through the model."""
        triples = [(a, b, c) for a in range(self.n) for b in range(self.n) for c in range(self.n)]
        random.Random(42).shuffle(triples)
        model, words = self.snap.model, self.snap.run.config.task.layout.split()
        where = {pair: i for i, pair in enumerate(map(tuple, self.pairs))}
        cosines = []
        for a, b, c in triples[:100]:
            row = self.snap.task.tokens[[where[self.order[a], self.order[b]]]]
            leaf = model.embed(row).detach().requires_grad_()
            out = model.run_with_hooks(row, fwd_hooks=[("hook_embed", lambda value, hook, leaf=leaf: leaf)])
            out[0, self.snap.task.answer_positions[0], self.order[c]].backward()
            g, h = leaf.grad[0, words.index("a")].double(), leaf.grad[0, words.index("b")].double()
            norms = float(g.norm() * h.norm())
            cosines.append(float(g @ h) / norms if norms > 0 else 0.0)  # a logit that does not depend on one of them
        return sum(cosines) / len(cosines)

    def circularity(self) -> float:
        """Circularity by the published formula, as sums of exponentials."""
        scores = PCA(min(4, *self.W_E.shape)).fit_transform(self.W_E)
        j, best = np.arange(self.n), []
        for v in scores.T[:4]:
            v = v / np.linalg.norm(v) / math.sqrt(self.n)
            sums = [abs((v * np.exp(2j * np.pi * k * j / self.n)).sum()) ** 2 for k in range(1, self.n)]
            best.append(max((1 if 2 * k == self.n else 2) * value for k, value in enumerate(sums, start=1)))
        return float(np.mean(best))

    def circle_logits(self, first: int) -> np.ndarray:
        """Logits [n, n, n] along the cycle with principal components ``first`` and the next alone in the embedding."""
        from train.model import build_model

        pca = PCA(min(20, *self.W_E.shape)).fit(self.W_E)
        scores = pca.transform(self.W_E)
        scores[:, [i for i in range(scores.shape[1]) if i not in (first, first + 1)]] = 0
        model = build_model(self.snap.run.config)
        weights = {name: t.clone() for name, t in self.snap.model.state_dict().items()}
        weights["embed.W_E"][self.order] = torch.from_numpy(pca.inverse_transform(scores)).float()
        model.load_state_dict(weights)
        with torch.no_grad():
            logits = model(self.snap.task.tokens)[:, self.snap.task.answer_positions[0]].double().numpy()
        found = np.zeros((self.n, self.n, self.n))
        found[self.x, self.z] = logits[self.inside][:, self.order]
        return found

    def circle_fve(self, first: int, k: int) -> dict[str, float]:
        """Scores of one circle's logits against the closed forms."""
        w = 2 * np.pi * k / self.n
        a, b, c = np.meshgrid(*[np.arange(self.n)] * 3, indexing="ij")
        X, Y = np.cos(w * a) + np.cos(w * b), np.sin(w * a) + np.sin(w * b)
        forms = {
            "clock": np.cos(w * (a + b - c)),
            "pizza": np.abs(np.cos(w * c / 2) * X + np.sin(w * c / 2) * Y)
            - np.abs(-np.sin(w * c / 2) * X + np.cos(w * c / 2) * Y),
            "four_neuron_pizza": (np.abs(X) - np.abs(Y)) * np.cos(w * c)
            + (np.abs(X + Y) - np.abs(X - Y)) * np.sin(w * c) / np.sqrt(2),
        }
        if self.n % 2:
            half = 2 * np.pi * (k * (self.n + 1) // 2 % self.n) / self.n
            forms["accompanying_pizza"] = -(np.cos(half * c) * X + np.sin(half * c) * Y)
        logits = self.circle_logits(first)

        def scaled(x: np.ndarray) -> np.ndarray:
            return ((x - x.mean()) / x.std()).flatten()

        return {name: float(explained_variance_score(scaled(logits), scaled(q))) for name, q in forms.items()}

    def stable(self) -> dict:
        """The measures with stable names, as the package names them."""
        cosines, fve = self.cosines(), self.fve()
        best = fve.argmax(axis=0) + 1
        clear = fve.max(axis=0) > 0.85
        return {
            **self.losses(),
            "total_norm": math.sqrt(sum((w**2).sum() for w in self.weights.values())),
            "key_freqs": {k: cosines[k] ** 2 for k in self.keys},
            "logit_cos": cosines,
            "logit_fve": sum(cosines[k] ** 2 for k in self.keys),
            "restricted_loss_logit2d_all": self.restricted_2d("all"),
            "restricted_loss_logit2d_test": self.restricted_2d("test"),
            "restricted_loss_logit2d_train": self.restricted_2d("train"),
            "excluded_loss_logit2d_train": self.excluded_2d(self.keys),
            "excluded_loss_logit2d_train_by_freq": {k: self.excluded_2d([k]) for k in self.keys},
            "excluded_loss_logit3d_train": self.excluded_3d(),
            "restricted_loss_neuron_test": self.restricted_neuron("test"),
            "restricted_loss_neuron_all": self.restricted_neuron("all"),
            "excluded_loss_neuron_train": self.excluded_neuron(),
            "neuron_fraction_fve85": float(clear.mean()),
            "neuron_clusters": {int(k): float((best[clear] == k).sum()) for k in sorted(set(best[clear]))},
            "W_E_energy": self.energy(self.W_E),
            "W_L_energy": self.energy(self.W_L.T[self.order]),
            "gini_W_E": self.gini(self.W_E),
            "gini_W_L": self.gini(self.W_L.T[self.order]),
            **({"gradient_symmetricity": self.symmetricity()} if SIGN[self.op] == 1 else {}),
            "distance_irrelevance": self.irrelevance(wrong=False),
            "distance_irrelevance_best_wrong": self.irrelevance(wrong=True),
            "circularity": self.circularity(),
        }
