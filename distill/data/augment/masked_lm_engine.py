"""The likeliest pieces at masked places: many sentences in one forward pass, the vocabulary projected at those places alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from teachers.device import own_device
from teachers.fingerprint import tokenizer_sha256, weights_sha256
from teachers.heads import load_masked_lm, load_tokenizer

from ...errors import ModelError
from ...positions import position_limit
from .masked_lm_rows import Layout, Row

CPU_TOKENS = 2048
"""Tokens in one forward pass on a CPU: more is no faster."""
GPU_TOKENS = 32_768
_LOGITS = 1 << 25
"""At most so many logits at a time (128 MB)."""
_NEAR = 3e-5
"""Two logits closer than this part of what lies between the mean and the best of their row count as a tie."""
_BLOCK = 64
_PROBE = 12
"""Tokens of the input that shows whether a model takes a sentence a row."""


class Query(NamedTuple):
    """Places of one text that are to be filled.

    Attributes:
        ids: tokens of the text without special ones.
        places: indexes into `ids`.
        choices: for each place the index, in the `allowed` of `likeliest`, of the pieces that it may be filled with.
    """

    ids: Sequence[int]
    places: Sequence[int]
    choices: Sequence[int]


class MaskedLM:
    """A masked language model that fills places.

    Args:
        name: hub id, folder or `package:NAME`.
        sees_original: see `MaskedLMMethod`.
        rows: see `MaskedLMMethod`.
        batch_tokens: tokens per forward pass; None takes a number that suits the machine.
        precision: of matrix products.

    Raises:
        ModelError: the model cannot be loaded, has no trained masked-LM head, its tokenizer has no mask token or is not a
            fast one, or the model cannot do `rows: sentence`.
    """

    def __init__(
        self,
        name: str,
        *,
        sees_original: bool = True,
        rows: Literal["word", "sentence"] = "word",
        batch_tokens: int | None = None,
        precision: Literal["fp32", "bf16"] = "fp32",
    ) -> None:
        self.name = name
        self._model, self.tokenizer = _load(name)
        self.device = own_device()
        self._model.to(self.device)
        self._bf16 = precision == "bf16"
        self.batch_tokens = batch_tokens or (GPU_TOKENS if self.device.type == "cuda" else CPU_TOKENS)
        limit = min(position_limit(self._model) or 512, self.tokenizer.model_max_length)
        self._layout = Layout(self.tokenizer, limit, sees_original=sees_original, per_sentence=rows == "sentence")
        self._offset = _first_position(self._model)
        self._gathered: tuple[Tensor, Tensor] | None = None
        self._model.base_model.register_forward_hook(self._gather)
        self.outputs, self._gathers = self._look_at_head()
        if rows == "sentence":
            self._check_sentence_rows()

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the weights and of the tokenizer."""
        return {"weights": weights_sha256(self._model), "tokenizer": tokenizer_sha256(self)}

    def likeliest(self, queries: Sequence[Query], k: int, allowed: Sequence[NDArray[np.bool_]]) -> list[list[tuple[int, ...]]]:
        """For every place of every query the `k` likeliest pieces among those allowed there, sorted by their ids.

        The set does not depend on what else is asked in the same call or on `batch_tokens`, in fp32: matrix products of another
        shape differ in their last bits, so where the k-th piece and the next are that close, the row is computed again alone.

        Args:
            queries: places to fill.
            k: how many pieces.
            allowed: `[outputs]` each.

        Returns:
            A list a query, in the order of its places; fewer than `k` pieces where fewer are allowed.
        """
        found: list[list[tuple[int, ...]]] = [[()] * len(query.places) for query in queries]
        masks = torch.from_numpy(np.stack(allowed)).to(self.device) if allowed else None
        rows = [row for index, query in enumerate(queries) for row in self._layout.rows(index, query.ids, query.places)]
        rows.sort(key=lambda row: len(row.ids))
        for batch in self._batches(rows):
            places = [(row.query, place) for row in batch for place in row.answers]
            choices = [queries[query].choices[place] for query, place in places]
            chosen, near = self._choose(self._logits(batch), k, masks, choices)
            for (query, place), ids in zip(places, chosen, strict=True):
                found[query][place] = ids
            if near and not self._bf16:
                self._settle(batch, near, k, masks, queries, found)
        return found

    def _settle(
        self,
        batch: Sequence[Row],
        near: set[int],
        k: int,
        masks: Tensor | None,
        queries: Sequence[Query],
        found: list[list[tuple[int, ...]]],
    ) -> None:
        """Compute rows with a tie again, each alone, and choose by logit and id."""
        number = 0
        for row in batch:
            ours = {number + index: place for index, place in enumerate(row.answers) if number + index in near}
            if ours:
                logits = self._logits([row]).cpu()
                for index, place in ours.items():
                    values = logits[index - number].numpy()
                    if masks is not None:
                        values = np.where(masks[queries[row.query].choices[place]].cpu().numpy(), values, -np.inf)
                    order = np.lexsort((np.arange(len(values)), -values))[:k]
                    found[row.query][place] = tuple(sorted(int(piece) for piece in order if values[piece] > -np.inf))
            number += len(row.answers)

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Rows, sorted by length, in parts of at most `batch_tokens` tokens with padding, and not too many logits."""
        most = max(1, _LOGITS // self.outputs)
        batch: list[Row] = []
        projected = 0
        for row in rows:
            tokens = len(row.ids) * (len(batch) + 1)
            projected = projected + len(row.answers) if self._gathers else tokens
            if batch and (tokens > self.batch_tokens or projected > most):
                yield batch
                batch, projected = [], len(row.answers if self._gathers else row.ids)
            batch.append(row)
        if batch:
            yield batch

    def _choose(
        self, logits: Tensor, k: int, masks: Tensor | None, choices: Sequence[int]
    ) -> tuple[list[tuple[int, ...]], set[int]]:
        """The `k` best ids of each row, sorted, and the rows where the next is as good as the last."""
        spread = logits.amax(dim=-1) - logits.mean(dim=-1)
        if masks is not None:
            logits = logits.where(masks[torch.tensor(choices, device=self.device)], -torch.inf)
        values, ids = _top(logits, min(k + 1, self.outputs))
        near: set[int] = set()
        if values.shape[1] > k:
            tied = (values[:, k - 1] - values[:, k] <= _NEAR * spread) & values[:, k].isfinite()
            near = set(tied.nonzero()[:, 0].tolist())
        good = values[:, :k].isfinite().cpu().numpy()
        kept = ids[:, :k].cpu().numpy()
        return [tuple(np.sort(row[use]).tolist()) for row, use in zip(kept, good, strict=True)], near

    @torch.inference_mode()
    def _logits(self, rows: Sequence[Row]) -> Tensor:
        """`[places, outputs]` in fp32, the places of one row after those of another."""
        inputs, line, column = self._layout.tensors(rows, self._offset, self._boolean_mask())
        inputs = {name: value.to(self.device) for name, value in inputs.items()}
        places = (line.to(self.device), column.to(self.device))
        self._gathered = places if self._gathers else None
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
                logits = self._model(**inputs).logits
        finally:
            self._gathered = None
        return (logits[0] if self._gathers else logits[places]).float()

    def _gather(self, module: Any, args: Any, output: Any) -> Any:
        """Of the encoder's output only the places that are asked for reach the head."""
        if self._gathered is None:
            return None
        states = output[0][self._gathered][None]
        if isinstance(output, tuple):
            return (states, *output[1:])
        output["last_hidden_state"] = states
        return output

    def _boolean_mask(self) -> bool:
        return getattr(self._model.config, "_attn_implementation", "") == "sdpa"

    @torch.inference_mode()
    def _look_at_head(self) -> tuple[int, bool]:
        """The number of outputs, and whether the head takes single places, as every one known does."""
        ids = torch.tensor([self._layout.probe(_PROBE)], device=self.device)
        whole = self._model(input_ids=ids).logits
        self._gathered = (torch.tensor([0, 0], device=self.device), torch.tensor([3, 1], device=self.device))
        try:
            part = self._model(input_ids=ids).logits
        finally:
            self._gathered = None
        same = part.shape == (1, 2, whole.shape[-1]) and torch.allclose(part[0], whole[0, [3, 1]], rtol=1e-3, atol=1e-3)
        return int(whole.shape[-1]), same

    def _check_sentence_rows(self) -> None:
        """Whether masks and positions have the effect they are meant to have in this architecture."""
        ids = self._layout.probe(_PROBE)[1:-1]
        try:
            one, other, both = (self._logits(list(self._layout.rows(0, ids, places))) for places in ([2], [5], [5, 2]))
            alone = torch.cat([other, one])
            works = torch.allclose(both, alone, rtol=1e-3, atol=1e-3) and not torch.allclose(one, other, rtol=1e-3, atol=1e-3)
            works = works and self._keeps_sentence(ids)
        except (RuntimeError, TypeError, ValueError, IndexError):
            works = False
        if not works:
            raise ModelError(
                "this architecture cannot fill all places of a sentence in one row",
                where=self.name,
                got=self._model.config.model_type,
                expected="one with absolute positions: BERT, RoBERTa, XLM-RoBERTa, ELECTRA, DistilBERT, ALBERT",
                hint="rows: word",
            )

    @torch.inference_mode()
    def _keeps_sentence(self, ids: Sequence[int]) -> bool:
        """Whether the sentence itself is read as if no masks came after it."""
        row = next(iter(self._layout.rows(0, ids, [2, 5])))
        whole = row.ids[: row.seen]
        inputs, _, _ = self._layout.tensors([row], self._offset, self._boolean_mask())
        with_masks = self._model(**{name: value.to(self.device) for name, value in inputs.items()}).logits[0, : row.seen]
        plain = self._model(input_ids=torch.tensor([whole], device=self.device)).logits[0]
        return torch.allclose(with_masks, plain, rtol=1e-3, atol=1e-3)


def _top(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """`topk`, faster for a few of many: the k best lie in the k blocks with the best maxima."""
    rows, width = logits.shape
    blocks = -(-width // _BLOCK)
    if k * 4 > blocks:
        values, ids = logits.topk(k)
        return values, ids
    padded = torch.nn.functional.pad(logits, (0, blocks * _BLOCK - width), value=-torch.inf).view(rows, blocks, _BLOCK)
    best = padded.amax(dim=-1).topk(k, sorted=False).indices
    values, inside = padded.gather(1, best[:, :, None].expand(-1, -1, _BLOCK)).flatten(1).topk(k)
    return values, best.gather(1, inside // _BLOCK) * _BLOCK + inside % _BLOCK


def _load(name: str) -> tuple[Any, Any]:
    """The model and its tokenizer."""
    try:
        model = load_masked_lm(name)
    except ModelError as error:
        if "head" not in error.message:
            raise
        raise ModelError(
            error.message,
            where=error.where,
            got=error.got,
            expected=error.expected,
            hint="bert-base-uncased for English, klue/bert-base for Korean, xlm-roberta-base for both",
        ) from error
    tokenizer = load_tokenizer(Path(model.name_or_path), name)
    if tokenizer.mask_token_id is None:
        raise ModelError("the tokenizer of this model has no mask token", where=name, expected="one such as [MASK] or <mask>")
    if tokenizer.mask_token_id >= model.get_input_embeddings().num_embeddings:
        raise ModelError("the mask token of this tokenizer is unknown to the model", where=name, got=tokenizer.mask_token_id)
    return model, tokenizer


def _first_position(model: Any) -> int:
    """The number of the first position: the RoBERTa kind counts from padding_idx + 1."""
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if isinstance(table, torch.nn.Embedding) and table.padding_idx is not None:
            return int(table.padding_idx) + 1
    return 0
