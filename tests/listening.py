"""Students that learn inner states of `inner.fresh`, what their losses say, and what they should say."""

from __future__ import annotations

import math
from types import SimpleNamespace

import inner
import torch

from distill.losses.attention import attention_kl, attention_mse
from distill.losses.ckd import layer_pair, layer_triple, word_pair, word_triple
from distill.losses.gram import fsp, nst
from distill.losses.hidden import hidden_cosine, hidden_mse, pkd
from distill.losses.minilm import minilm_v1, minilm_v2
from distill.recipe_stages import StageSpec
from distill.train.inner import InnerTeacher

PAIRS = ((1, 0), (3, 1))  # uniform, of 4 layers and 2: (teacher, student)
HIDDEN = {"hidden_mse": hidden_mse, "hidden_cosine": hidden_cosine, "pkd": pkd}
PROJECTED = (*HIDDEN, "embedding_layer_mse")
PAIRED_WIDTH = {"fsp"}


def student_of(hidden=32, family="bert"):
    return inner.fresh(family, layers=2, hidden=hidden, seed=3)


def spec(*losses, **values):
    return StageSpec.model_validate({"losses": [{"name": x} if isinstance(x, str) else x for x in losses], **values})


def listen(student, *losses, teacher=None, ids=None, seed=0, **values):
    teacher = inner.fresh("bert") if teacher is None else teacher
    made = InnerTeacher(teacher, ids).losses(student, spec(*losses, **values), seed)
    assert made is not None
    return made


def compare(student, losses, batch=None, progress=0.0):
    batch = inner.features() if batch is None else batch
    student(**batch)
    return losses(batch, progress)


@torch.no_grad()
def outside(model, batch):
    """What a BERT says of itself, from its outputs and its weights: nothing is captured, and nobody listens."""
    twin = inner.eager(model).eval()
    found = twin(**batch, output_hidden_states=True, output_attentions=True)
    queries, keys, values = [], [], []
    for layer, before in zip(twin.encoder.layer, found.hidden_states, strict=False):
        own = layer.attention.self
        split = [getattr(own, name)(before).unflatten(-1, (4, -1)).transpose(1, 2) for name in ("query", "key", "value")]
        for kept, part in zip((queries, keys, values), split, strict=True):
            kept.append(part)
    scores = [q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) for q, k in zip(queries, keys, strict=True)]
    blocked = (batch["attention_mask"] == 0)[:, None, None, :]
    for raw, probabilities in zip(scores, found.attentions, strict=True):
        torch.testing.assert_close(raw.masked_fill(blocked, -torch.inf).softmax(-1), probabilities)
    return SimpleNamespace(
        hidden=found.hidden_states, probabilities=found.attentions, scores=scores, queries=queries, keys=keys, values=values
    )


def expected(name, ours, theirs, mask, mapped):
    """The loss by hand; hidden[0] are the embeddings, hidden[n + 1] is the output of layer n."""
    layers = [(mapped(ours.hidden[s + 1]), theirs.hidden[t + 1]) for t, s in PAIRS]
    plain = [(ours.hidden[0], theirs.hidden[0])] + [(ours.hidden[s + 1], theirs.hidden[t + 1]) for t, s in PAIRS]
    if name in HIDDEN:
        return sum(HIDDEN[name](a, b, mask) for a, b in layers)
    if name == "attention_mse":
        return sum(attention_mse(ours.scores[s], theirs.scores[t], mask) for t, s in PAIRS)
    if name == "attention_kl":  # the logarithm of a probability is a score, up to a constant a row
        return sum(attention_kl(ours.probabilities[s].log(), theirs.probabilities[t].log(), mask) for t, s in PAIRS)
    if name == "embedding_layer_mse":
        return hidden_mse(mapped(ours.hidden[0]), theirs.hidden[0], mask)
    if name == "minilm_v1":
        return minilm_v1(ours.scores[-1], theirs.scores[-1], ours.values[-1], theirs.values[-1], mask)
    if name == "minilm_v2":
        heads = math.gcd(ours.hidden[0].shape[-1], 32)
        last = [(states.queries[-1], states.keys[-1], states.values[-1]) for states in (ours, theirs)]
        return minilm_v2(*last, mask, relation_heads=heads)
    if name == "ckd_word":
        return sum(word_pair(a, b, mask) + word_triple(a, b, mask, window=21) for a, b in plain)
    if name == "ckd_layer":
        a, b = (torch.stack(side) for side in zip(*plain, strict=True))
        return layer_pair(a, b, mask) + layer_triple(a, b, mask)
    if name == "nst":
        return sum(nst(a, b, mask) for a, b in plain[1:])
    return fsp(plain[1][0], plain[2][0], plain[1][1], plain[2][1], mask)
