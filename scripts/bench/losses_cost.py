#!/usr/bin/env python3
"""What each loss between inner states costs: milliseconds of CPU time, forward and backward, beside a student's own step.

    python scripts/bench/losses_cost.py [--repeats 5]

32 texts of 64 tokens, one thread, a student 312 wide and a teacher 768 wide, random tensors of the captured shapes. The least
of several repeats is kept. The result is written to scripts/bench/results/losses_cost.json; the last line of stdout is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from distill.files import write_json
from distill.losses.attention import attention_kl, attention_mse
from distill.losses.ckd import layer_pair, layer_triple, word_pair, word_triple
from distill.losses.gram import fsp, nst
from distill.losses.hidden import hidden_cosine, hidden_mse, pkd
from distill.losses.minilm import minilm_v1, minilm_v2
from distill.losses.prediction import kl_divergence
from distill.losses.relation import pair_order, similarity_matrix
from distill.measure.hardware import environment

RESULTS = Path(__file__).parent / "results" / "losses_cost.json"
BATCH, LENGTH, STUDENT, TEACHER, HEADS = 32, 64, 312, 768, 12


def losses() -> dict[str, Callable[[], Tensor]]:
    """Name -> one loss over one layer (or over five matched layers, for relations between layers), ready to be called."""

    def made(*shape: int) -> Tensor:
        return torch.randn(*shape, requires_grad=True)

    mask = torch.ones(BATCH, LENGTH)
    ours, theirs = made(BATCH, LENGTH, STUDENT), torch.randn(BATCH, LENGTH, TEACHER)
    stack, teacher_stack = made(5, BATCH, LENGTH, STUDENT), torch.randn(5, BATCH, LENGTH, TEACHER)
    scores, teacher_scores = made(BATCH, HEADS, LENGTH, LENGTH), torch.randn(BATCH, HEADS, LENGTH, LENGTH)
    values, teacher_values = made(BATCH, HEADS, LENGTH, STUDENT // HEADS), torch.randn(BATCH, HEADS, LENGTH, TEACHER // HEADS)
    vectors, teacher_vectors = made(BATCH, STUDENT), torch.randn(BATCH, TEACHER)
    logits, teacher_logits = made(BATCH, 2), torch.randn(BATCH, 2)
    project = torch.nn.Linear(STUDENT, TEACHER)
    shape = {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0, "num_attention_heads": HEADS}
    student = BertModel(BertConfig(num_hidden_layers=4, hidden_size=STUDENT, intermediate_size=1200, **shape))
    teacher = BertModel(BertConfig())
    ids = torch.randint(0, 30000, (BATCH, LENGTH))

    def teach() -> Tensor:
        with torch.no_grad():
            teacher(ids)
        return logits.sum()

    return {
        "student_step_4x312": lambda: student(ids).last_hidden_state.mean(),
        "teacher_forward_12x768": teach,
        "kl_divergence": lambda: kl_divergence(logits, teacher_logits, temperature=2.0),
        "similarity_matrix": lambda: similarity_matrix(vectors, teacher_vectors),
        "pair_order": lambda: pair_order(vectors, teacher_vectors),
        "hidden_mse": lambda: hidden_mse(project(ours), theirs, mask),
        "hidden_cosine": lambda: hidden_cosine(project(ours), theirs, mask),
        "pkd": lambda: pkd(project(ours), theirs, mask),
        "attention_mse": lambda: attention_mse(scores, teacher_scores, mask),
        "attention_kl": lambda: attention_kl(scores, teacher_scores, mask),
        "minilm_v1": lambda: minilm_v1(scores, teacher_scores, values, teacher_values, mask),
        "minilm_v2": lambda: minilm_v2((ours,) * 3, (theirs,) * 3, mask, relation_heads=24),
        "ckd_word_pair": lambda: word_pair(ours, theirs, mask),
        "ckd_word_triple": lambda: word_triple(ours, theirs, mask),
        "ckd_word_triple_all": lambda: word_triple(ours, theirs, mask, window=None),
        "ckd_layer_pair": lambda: layer_pair(stack, teacher_stack, mask),
        "ckd_layer_triple": lambda: layer_triple(stack, teacher_stack, mask),
        "nst": lambda: nst(ours, theirs, mask),
        "fsp": lambda: fsp(project(ours), project(ours), theirs, theirs, mask),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results (default: %(default)s)")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    found: dict[str, float] = {}
    for name, loss in losses().items():
        loss().backward()
        times = []
        for _ in range(args.repeats):
            start = time.process_time()
            loss().backward()
            times.append((time.process_time() - start) * 1000)
        found[name] = round(min(times), 2)
    shape = {"batch": BATCH, "length": LENGTH, "student": STUDENT, "teacher": TEACHER, "heads": HEADS, "repeats": args.repeats}
    args.results.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        args.results,
        {"schema_version": 1, "unit": "ms of CPU time", "shape": shape, "losses": found, "environment": environment()},
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
