"""Characters of a finite group from its composition table, and projectors on its isotypic components.

Characters are enough for every measure by irrep: no matrices of representations are needed. They come from the
centre of the group algebra: the structure constants of its class sums commute, and their common eigenvectors are the
irreps (Burnside; Dixon 1967, "High speed computation of group characters", here in floating point). Irreps that are
complex conjugates of one another count as one, since real activations cannot tell them apart.
"""

import torch
from jaxtyping import Complex128, Float, Int64
from torch import Tensor

_SEED = 0
"""Seed of the random combination of class sums whose eigenvectors are taken; any that separates the irreps works."""


def conjugacy_classes(table: Int64[Tensor, "n n"]) -> Int64[Tensor, " n"]:
    """Conjugacy class of each element, numbered by first appearance; the identity must be element 0."""
    inverse = _inverses(table)
    n = len(table)
    conjugates = table[table[inverse[:, None], torch.arange(n)[None, :]], torch.arange(n)[:, None]]  # [g, x]: g^-1 x g
    smallest = conjugates.min(dim=0).values
    return torch.unique(smallest, return_inverse=True)[1]


def characters(table: Int64[Tensor, "n n"]) -> Complex128[Tensor, "n_irreps n"]:
    """Irreducible characters at each element, the trivial one first, then by degree.

    Raises:
        ValueError: the table's identity is not element 0.
    """
    n = len(table)
    if not torch.equal(table[0], torch.arange(n)):
        raise ValueError("characters need a group table whose identity is element 0")
    cls = conjugacy_classes(table)
    size = torch.bincount(cls).double()
    n_classes = len(size)
    weight = torch.rand(n_classes, dtype=torch.float64, generator=torch.Generator().manual_seed(_SEED))
    # M[j, k] = sum over x of weight[cls x] and y in class j with x y = z_k, for one z_k of each class
    first = torch.tensor([int((cls == k).nonzero()[0]) for k in range(n_classes)])
    y = cls[table[_inverses(table)][:, first]]  # [x, k]: class of x^-1 z_k
    M = torch.zeros(n_classes, n_classes, dtype=torch.float64)
    columns = torch.arange(n_classes).expand(n, -1)
    M.index_put_((y, columns), weight[cls][:, None].expand(-1, n_classes), accumulate=True)
    vectors = torch.linalg.eig(M).eigenvectors.T  # each proportional to size * character / degree
    vectors = vectors / vectors[:, :1]
    degree = (n / (vectors.abs().square() / size).sum(dim=1)).sqrt()
    values = (vectors * degree[:, None] / size)[:, cls]
    # sum |chi|^2 = n fixes the scale above; the trivial character has the largest sum among those of degree 1
    order = sorted(range(len(values)), key=lambda i: (round(float(degree[i])), -float(values[i].real.sum())))
    return values[order]


def isotypic_projectors(table: Int64[Tensor, "n n"]) -> dict[str, Float[Tensor, "n n"]]:
    """Orthogonal projectors from functions on a group onto the real isotypic components, the trivial one first.

    P[g, h] = (d/n) chi(g h^-1). Names are the degree and a number, such as 4.2. Raises ValueError as ``characters``.
    """
    n = len(table)
    quotient = table[:, _inverses(table)]
    projectors: dict[str, Tensor] = {}
    seen: list[Tensor] = []
    for chi in characters(table):
        if any((chi.conj() - other).abs().max() < 1e-6 for other in seen):
            continue  # the complex conjugate of an earlier character
        seen.append(chi)
        degree = round(float(chi[0].real))
        is_real = chi.imag.abs().max() < 1e-6
        number = 1 + sum(name.startswith(f"{degree}.") for name in projectors)
        projectors[f"{degree}.{number}"] = (1 if is_real else 2) * degree / n * chi.real[quotient]
    return projectors


def isotypic_bases(table: Int64[Tensor, "n n"]) -> dict[str, Float[Tensor, "dim n"]]:
    """Orthonormal bases of functions on a group in its real isotypic components, without the trivial one.

    Names are those of ``isotypic_projectors``; the projector on a component is B^T B. Raises ValueError as
    ``characters``.
    """
    bases = {}
    for name, P in list(isotypic_projectors(table).items())[1:]:
        values, vectors = torch.linalg.eigh(P)
        bases[name] = vectors[:, values > 0.5].T  # a projector's eigenvalues are 0 and 1
    return bases


def _inverses(table: Int64[Tensor, "n n"]) -> Int64[Tensor, " n"]:
    """Inverse of each element; the identity is element 0."""
    return (table == 0).long().argmax(dim=1)
