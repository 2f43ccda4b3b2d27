"""Losses between the inner states of a student and of the teacher that runs beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from teachers.capture import Capture, EncoderShape, States, encoder_of, shape_of
from teachers.pieces import as_read

from ..errors import DistillError
from ..losses.ckd import layer_pair, layer_triple, word_pair, word_triple
from ..losses.gram import fsp, nst
from ..losses.hidden import hidden_cosine, hidden_mse, pkd
from ..losses.minilm import minilm_v1, minilm_v2
from ..losses.textbrewer import nst_by_length
from ..progress import note
from ..recipe import LossSpec
from ..recipe_losses import MASKED_LM, STATES, CKDLayer, CKDWord, MiniLMv2, Projected
from ..recipe_match import Match, term_of
from ..recipe_stages import StageSpec
from .compared import ON_SCORES, check_states, matched_layers, teacher_layer, wanted_states
from .fit import relation_heads
from .layer_map import in_words
from .masked import MaskedLMLosses
from .matches import attention_match, attention_of, hidden_match, projections_of
from .stored import states_in
from .weights import weight_of

if TYPE_CHECKING:
    from .stored import Said

ON_HIDDEN = {"hidden_mse": hidden_mse, "hidden_cosine": hidden_cosine, "pkd": pkd, "nst": nst}


@dataclass
class InnerTeacher:
    """The teacher as losses between inner states need it: running beside the student, or asked once for what is stored.

    Attributes:
        encoder: the teacher's encoder, in eval mode; that of `head`, where there is one, so that one run serves both.
        ids: the teacher's token id of each of the student's, int64 [student vocabulary], where the student's vocabulary
            was trimmed or its pieces have other ids; None where they are the same.
        head: the teacher with its masked-LM head, where tokens are masked.
        tokenizer: of both, where tokens are masked.
        kept: its layers that the student was cut from, 0-based; None for a student that was not.
        key: everything that decides its states, as JSON values; needed where they are stored.
        batch_size: rows a run, where they are stored.
        said: collects what the whole model says of rows while their states are stored; None: nobody asks.
        says: the teacher's inputs of a batch -> the padded logits of the whole model, where the run beside the student gives
            them too; None: they are stored, or nobody asks.
    """

    encoder: nn.Module
    ids: Tensor | None = None
    head: Any = None
    tokenizer: Any = None
    kept: Sequence[int] | None = None
    key: Mapping[str, Any] | None = None
    batch_size: int = 32
    said: Said | None = None
    says: Callable[[dict[str, Tensor]], Tensor] | None = None

    def losses(self, student: nn.Module, stage: StageSpec, seed: int) -> InnerLosses | None:
        """The stage's losses between inner states, or None where it has none.

        Raises:
            UserError: they do not fit the two models.
        """
        specs = [loss for loss in stage.losses if loss.name in STATES]
        return InnerLosses(self, student, specs, stage, seed) if specs else None

    def masked(self, student: nn.Module, stage: StageSpec, seed: int) -> MaskedLMLosses | None:
        """The stage's losses on masked tokens, or None where it has none."""
        specs = [loss for loss in stage.losses if loss.name in MASKED_LM]
        return MaskedLMLosses(self.head, encoder_of(student), self.tokenizer, specs, seed) if specs else None


class InnerLosses(nn.Module):
    """Compares inner states layer by layer; of each loss the sum over the matched layers.

    The learned projections are its weights. It listens to the student that trains, and runs the teacher in eval mode
    without gradient on the same tokens, unless a batch brings the teacher's stored states. `close()` leaves both models as
    they were.

    Args:
        teacher: the running teacher.
        student: a model with a transformers encoder inside.
        specs: losses of `STATES`.
        stage: names the layer map and the convention.
        seed: of the projections.

    Raises:
        UserError: a loss or the layer map does not fit the two models.
    """

    def __init__(self, teacher: InnerTeacher, student: nn.Module, specs: Sequence[LossSpec], stage: StageSpec, seed: int) -> None:
        super().__init__()
        self.specs = tuple(specs)
        ours, theirs = shape_of(encoder_of(student)), shape_of(encoder_of(teacher.encoder))
        self.convention = stage.convention
        self.pairs = check_states(stage, theirs, ours, kept=teacher.kept, where=f"stages.{stage.name}")
        self.shapes = (ours, theirs)
        self.matched = matched_layers(self.specs, self.pairs, theirs, ours)
        if self.matched:
            note(f"training: stage '{stage.name}': {in_words(self.matched, theirs.layers, ours.layers)}")
        self.projections = self._projections(ours, theirs, seed)
        wanted = wanted_states(self.specs, self.pairs, ours, theirs)
        self.of_teacher = wanted[1]
        # A tuple keeps the teacher out of the module tree: its weights are neither trained nor written to checkpoints.
        self._teacher = (encoder_of(teacher.encoder).eval(),)
        self._ids = (teacher.ids,)
        self.says = teacher.says
        heard = Capture(student, wanted[0])
        try:
            self.captures = (heard, Capture(teacher.encoder, wanted[1]))
        except DistillError:
            heard.close()
            raise

    def _projections(self, ours: EncoderShape, theirs: EncoderShape, seed: int) -> nn.ModuleDict:
        """One linear map per name of `projection_name`; between equal widths it starts as the identity. Matches have theirs."""
        matches = [spec for spec in self.specs if isinstance(spec, Match)]
        if matches:
            return projections_of(matches, seed, theirs=self.convention == "textbrewer")
        names = {
            name
            for spec in self.specs
            for layer in ([None] if spec.name == "embedding_layer_mse" else [s for _, s in self.pairs])
            if (name := self.projection_name(spec, layer, ours, theirs))
        }
        made = nn.ModuleDict()
        generator = torch.Generator().manual_seed(seed)
        for name in sorted(names):
            linear = nn.Linear(ours.hidden, theirs.hidden)
            with torch.no_grad():
                if ours.hidden == theirs.hidden:
                    nn.init.eye_(linear.weight)
                else:
                    nn.init.orthogonal_(linear.weight, generator=generator)
                linear.bias.zero_()
            made[name] = linear
        return made

    @staticmethod
    def projection_name(spec: LossSpec, layer: int | None, ours: EncoderShape, theirs: EncoderShape) -> str | None:
        """The projection that a loss uses for a layer of the student, None of its embeddings; None for none."""
        if not isinstance(spec, Projected) or spec.projection == "none":
            return None
        if spec.projection == "auto" and ours.hidden == theirs.hidden:
            return None
        if spec.projection == "per_layer":
            return f"{spec.name}_{'embeddings' if layer is None else layer}"
        return "shared"

    def forward(self, features: Mapping[str, Tensor], progress: float | None = 0.0, *, ran: bool = False) -> dict[str, Tensor]:
        """Run the teacher on a batch that the student has just been run on, or take its stored states, and compare.

        Args:
            features: `input_ids`, `attention_mask`, maybe `token_type_ids`, int64 [B, L], the student's ids; maybe the
                teacher's states, as `stored.with_states` adds them.
            progress: share of the stage's steps that is done; None for weights without schedule.
            ran: whether another loss has just run the teacher on this batch.

        Returns:
            Name -> weighted loss.
        """
        student = self.captures[0].take()
        teacher = states_in(features)
        if teacher is None:
            if not ran:
                self.run_teacher(features)
            teacher = self.captures[1].take()
        mask = features["attention_mask"]
        if self.convention == "textbrewer":
            student, teacher = attention_of(student, self.shapes[0], mask), attention_of(teacher, self.shapes[1], mask)
        return {term_of(spec): weight_of(spec, progress) * self._loss(spec, student, teacher, mask) for spec in self.specs}

    def run_teacher(self, features: Mapping[str, Tensor]) -> Tensor | None:
        """One forward pass of the teacher, in eval mode and without gradient; its logits, where it `says` them."""
        (encoder,) = self._teacher
        device = features["input_ids"].device
        if next(encoder.parameters()).device != device:
            encoder.to(device)
        encoder.eval()
        with torch.no_grad():
            inputs = self.teacher_inputs(features)
            if self.says is not None:
                return self.says(inputs)
            encoder(**inputs)
            return None

    def teacher_inputs(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the teacher reads of a batch: its own ids in place of the student's, and token types if it knows them."""
        (ids,), (encoder,) = self._ids, self._teacher
        given = ("input_ids", "attention_mask", "token_type_ids")
        return as_read(encoder, {name: features[name] for name in given if name in features}, ids)

    def _loss(self, spec: LossSpec, student: States, teacher: States, mask: Tensor) -> Tensor:
        """One loss over all its layers, unweighted."""
        if isinstance(spec, Match):
            name = spec.term if spec.proj else None
            mapped = nn.Identity() if name is None else self.projections[name]
            if isinstance(spec.layer_T, int) and isinstance(spec.layer_S, int) and spec.feature == "attention":
                return attention_match(spec, *self._scores(student, teacher, (spec.layer_T, spec.layer_S), 0.0), mask)
            return hidden_match(spec, student, teacher, mask, mapped, theirs=self.convention == "textbrewer")
        if spec.name in ON_SCORES:
            loss, fill = ON_SCORES[spec.name], 0.0 if spec.name == "attention_mse" else -torch.inf
            return _sum(loss(*self._scores(student, teacher, pair, fill), mask) for pair in self.pairs)
        if spec.name in ON_HIDDEN:
            found = ((self._mapped(spec, student.hidden_states[s], s), teacher.hidden_states[t]) for t, s in self.pairs)
            if spec.name == "nst" and self.convention == "textbrewer":
                return _sum(nst_by_length(ours, ours, theirs, theirs, mask) for ours, theirs in found)
            return _sum(ON_HIDDEN[spec.name](ours, theirs, mask) for ours, theirs in found)
        special: dict[str, Callable[..., Tensor]] = {
            "embedding_layer_mse": self._embedding_layer,
            "minilm_v1": self._minilm_v1,
            "minilm_v2": self._minilm_v2,
            "ckd_word": self._ckd_word,
            "ckd_layer": self._ckd_layer,
            "fsp": self._fsp,
        }
        return special[spec.name](spec, student, teacher, mask)

    def _scores(self, student: States, teacher: States, pair: tuple[int, int], fill: float) -> tuple[Tensor, Tensor]:
        """Raw scores of a pair of layers; `fill` in both where the teacher's layer does not look: too far from the token.

        By TextBrewer's convention probabilities, which are 0 where a layer does not look.
        """
        ours, theirs = student.attention_scores[pair[1]], teacher.attention_scores[pair[0]]
        window = self.shapes[1].windows[pair[0]]
        if window is None or self.convention == "textbrewer":
            return ours, theirs
        place = torch.arange(ours.shape[-1], device=ours.device)
        far = (place[:, None] - place[None, :]).abs() > window
        return ours.masked_fill(far, fill), theirs.masked_fill(far, fill)

    def _mapped(self, spec: LossSpec, states: Tensor, layer: int | None) -> Tensor:
        name = self.projection_name(spec, layer, *self.shapes)
        return states if name is None else self.projections[name](states)

    def _embedding_layer(self, spec: LossSpec, student: States, teacher: States, mask: Tensor) -> Tensor:
        ours, theirs = _embeddings(student), _embeddings(teacher)
        return hidden_mse(self._mapped(spec, ours, None), theirs, mask)

    def _minilm_v1(self, spec: LossSpec, student: States, teacher: States, mask: Tensor) -> Tensor:
        s, t = (shape.layers - 1 for shape in self.shapes)
        return minilm_v1(*self._scores(student, teacher, (t, s), -torch.inf), student.values[s], teacher.values[t], mask)

    def _minilm_v2(self, spec: MiniLMv2, student: States, teacher: States, mask: Tensor) -> Tensor:
        ours, theirs = self.shapes
        s, t = ours.layers - 1, teacher_layer(spec, theirs)
        heads = relation_heads(spec.relation_heads, theirs, ours)
        left, right = ((states.queries[n], states.keys[n], states.values[n]) for states, n in ((student, s), (teacher, t)))
        return minilm_v2(left, right, mask, relation_heads=heads)

    def _ckd_word(self, spec: CKDWord, student: States, teacher: States, mask: Tensor) -> Tensor:
        def one(ours: Tensor, theirs: Tensor) -> Tensor:
            parts = [ours.new_zeros((), dtype=torch.float32)]
            if spec.pair:
                parts.append(spec.pair * word_pair(ours, theirs, mask))
            if spec.triple:
                parts.append(spec.triple * word_triple(ours, theirs, mask, window=spec.window))
            return torch.stack(parts).sum()

        return _sum(one(ours, theirs) for ours, theirs in self._with_embeddings(student, teacher))

    def _ckd_layer(self, spec: CKDLayer, student: States, teacher: States, mask: Tensor) -> Tensor:
        pairs = self._with_embeddings(student, teacher)
        ours, theirs = torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])
        parts = [ours.new_zeros((), dtype=torch.float32)]
        if spec.pair:
            parts.append(spec.pair * layer_pair(ours, theirs, mask))
        if spec.triple:
            parts.append(spec.triple * layer_triple(ours, theirs, mask))
        return torch.stack(parts).sum()

    def _with_embeddings(self, student: States, teacher: States) -> list[tuple[Tensor, Tensor]]:
        """The embedding output and every matched layer, as CKD takes them."""
        layers = [(student.hidden_states[s], teacher.hidden_states[t]) for t, s in self.pairs]
        return [(_embeddings(student), _embeddings(teacher)), *layers]

    def _fsp(self, spec: LossSpec, student: States, teacher: States, mask: Tensor) -> Tensor:
        steps = zip(self.pairs, self.pairs[1:], strict=False)
        return _sum(
            fsp(student.hidden_states[a], student.hidden_states[b], teacher.hidden_states[c], teacher.hidden_states[d], mask)
            for (c, a), (d, b) in steps
        )

    def close(self) -> None:
        """Leave both models as they were found."""
        for capture in self.captures:
            capture.close()


def _embeddings(states: States) -> Tensor:
    assert states.embeddings is not None, "captured, since it is wanted"
    return states.embeddings


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()
