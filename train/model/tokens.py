"""Tokens as text: a tokenizer for a vocabulary of a few named tokens."""

import torch
from jaxtyping import Int
from torch import Tensor

from .config import HookedTransformerConfig


class NamedTokens:
    """Conversion between token numbers and the names in ``cfg.vocabulary``, such as "12 + 7 =".

    There is no beginning-of-sequence token, so ``prepend_bos``, which TransformerLens's tools pass, must not
    be True.
    """

    cfg: HookedTransformerConfig
    tokenizer = None

    def to_tokens(self, text: str | list[str], prepend_bos: bool | None = None) -> Int[Tensor, "batch pos"]:
        """Token numbers of one text (one row), or of several texts of equal length.

        Tokens are separated by spaces. The operation's symbol is dropped if the layout has no token for it.

        Raises:
            ValueError: a word that is no token, or rows of unequal length.
        """
        if prepend_bos:
            raise ValueError("prepend_bos = True: these models have no such token; leave it out")
        rows = [self._numbers(line) for line in ([text] if isinstance(text, str) else text)]
        if len({len(row) for row in rows}) > 1:
            raise ValueError(f"texts of {sorted({len(r) for r in rows})} tokens: give equal lengths")
        return torch.tensor(rows, dtype=torch.long, device=self.cfg.device)

    def to_str_tokens(
        self, tokens: str | list[str] | Int[Tensor, "*shape"], prepend_bos: bool | None = None
    ) -> list[str] | list[list[str]]:
        """Names of the tokens of one row ([pos], [1, pos] or text), or a list of rows for a list of texts."""
        if isinstance(tokens, list):
            return [self._names(row) for row in self.to_tokens(tokens, prepend_bos)]
        row = self.to_tokens(tokens, prepend_bos) if isinstance(tokens, str) else tokens
        if row.ndim > 1 and row.numel() != row.shape[-1]:
            raise ValueError(f"tokens of shape {tuple(row.shape)}: give one row, [pos] or [1, pos]")
        return self._names(row)

    def to_string(self, tokens: int | list[int] | Int[Tensor, "*shape"]) -> str | list[str]:
        """Text of one token or row; a list of texts for several rows."""
        tokens = torch.as_tensor(tokens)
        texts = [" ".join(self._names(row)) for row in torch.atleast_2d(tokens)]
        return texts if tokens.ndim > 1 else texts[0]

    def to_single_token(self, text: str) -> int:
        """Number of one token.

        Raises:
            ValueError: the text is not exactly one token.
        """
        numbers = self._numbers(text)
        if len(numbers) != 1:
            raise ValueError(f"{text!r} is {len(numbers)} tokens: give exactly one")
        return numbers[0]

    def to_single_str_token(self, token: int) -> str:
        """Name of one token."""
        return self._names(torch.tensor(token))[0]

    def _numbers(self, text: str) -> list[int]:
        number = {name: i for i, name in enumerate(self.cfg.vocabulary)}
        words = [("op" if word == self.cfg.operator else word) for word in text.split()]
        words = [word for word in words if word in number or word != "op"]
        unknown = [word for word in words if word not in number]
        if unknown:
            names = self.cfg.vocabulary
            raise ValueError(f"{unknown[0]!r} is no token; allowed are {names[0]!r} to {names[-1]!r}")
        return [number[word] for word in words]

    def _names(self, tokens: Int[Tensor, "*row"]) -> list[str]:
        return [self.cfg.vocabulary[int(token)] for token in tokens.flatten()]
