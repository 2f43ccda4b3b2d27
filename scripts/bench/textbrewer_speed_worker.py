"""One system, one process: distil a student on given rows, tell how long it took and how well it learned.

    python textbrewer_speed_worker.py '{"system": "distill_live", "rows": 1600, "epochs": 3, "batch": 16, "seed": 0, ...}'

The last line of stdout is one JSON object. Nothing is downloaded: models and token ids are made from the seed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForSequenceClassification, get_linear_schedule_with_warmup

from distill.data.collate import Collator
from distill.losses.prediction import soft_cross_entropy
from distill.measure.hardware import peak_rss_mb
from distill.recipe import Recipe, normalise
from distill.recipe_stages import StageSpec
from distill.train.inner import InnerTeacher
from distill.train.stages import StagePlan, train_stages
from distill.train.stored import Said, states_facts, store_states, with_states
from distill.train.task import TaskObjective, model_logits
from teachers.state_rows import row_key

VOCABULARY, CAP, CLASSES, TEMPERATURE, RATE = 8000, 128, 3, 4.0, 5e-4
PAIRS = [[2, 0], [5, 1]]
"""Layers matched, the teacher's first, 0-based."""
HIDDEN = ((0, 0), (3, 1), (6, 2))
"""Hidden states matched, as transformers counts them: 0 is what the first layer sees."""
INNER = [
    {"name": "embedding_layer_mse", "projection": "per_layer"},
    {"name": "hidden_mse", "projection": "per_layer"},
    "attention_mse",
]
WORK = [{"name": "soft_cross_entropy", "temperature": TEMPERATURE, "weight": TEMPERATURE**2}, *INNER]
"""The losses of every system; TextBrewer's soft targets have no squared temperature but the weight."""


class TokenRows:
    """Token ids as a training set: frequencies of words as in text (Zipf), lengths lognormal with mean 25, at most 128."""

    def __init__(self, count: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.lengths = np.clip(random.lognormal(np.log(25) - 0.18, 0.6, count).round(), 4, CAP).astype(np.int32)
        self.ids = [(100 + random.zipf(1.2, length) % (VOCABULARY - 100)).astype(np.int32) for length in self.lengths]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.ids[index], "row": index}


class Pad(Collator):
    """Pads to the longest row, or, where asked, every batch to the cap."""

    task = "classification"

    def __init__(self, width: int | None = None) -> None:
        super().__init__(0, False, width)


def model(layers: int, width: int, seed: int, attention: str, heads: int = 4) -> BertForSequenceClassification:
    """A BERT classifier from a seed, without dropout, whose words and classes lie far enough apart to teach something."""
    shape = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=CAP,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=CLASSES,
    )
    shape._attn_implementation = attention
    torch.manual_seed(seed)
    made = BertForSequenceClassification(shape)
    made.get_input_embeddings().weight.data *= 5
    made.classifier.weight.data *= 10
    return made.eval()


def recipe(job: dict[str, Any], losses: list[Any], precision: str = "fp32", convention: str = "textbrewer") -> Recipe:
    """Every setting that is not told stays as a user would find it, but for clipping, which the systems do differently.

    By TextBrewer's convention, so that every system minimises the same.
    """
    stage = {"losses": losses, "epochs": job["epochs"], "batch_size": job["batch"], "learning_rate": RATE, "layer_map": PAIRS}
    stage["convention"] = convention
    return Recipe.model_validate(
        normalise(
            {
                "name": "bench",
                "task": "classification",
                "teacher": "unused",
                "data": {"train": "unused.tsv"},
                "student": {"layers": 2},
                "seed": job["seed"],
                "stages": [stage],
                "train": {
                    "precision": precision,
                    "patience": None,
                    "evaluate_every": 1.0,
                    "weight_decay": 0,
                    "max_grad_norm": 1e6,
                    "dropout": None,
                },
            }
        )
    )


def objective(teacher: InnerTeacher, student: nn.Module, stage: StageSpec, seed: int) -> TaskObjective:
    """The losses of a stage, their projections included; the same start for every system."""
    return TaskObjective(student, stage.losses, "classification", teacher.losses(student, stage, seed), stage.convention)


def of_distill(job: dict[str, Any], teacher: nn.Module, student: nn.Module, start: TaskObjective, rows: TokenRows) -> float:
    """This project's trainer: inner states and logits from the teacher beside, or of one run over all rows, on disk.

    The run that fills the store counts.
    """
    start.close()
    made = recipe(job, WORK, "bf16" if job["system"].endswith("bf16") else "fp32")
    pad, kept = Pad(), []
    judged = iter(range(10**6))

    def says(batch: Mapping[str, Tensor]) -> Tensor:
        return model_logits(teacher, batch, "classification")

    def plan(stage: StageSpec) -> StagePlan:
        stores = job["system"].startswith("distill_stored")
        said = Said(says, lambda row, tokens: row)
        running = InnerTeacher(teacher, key={"seed": job["seed"]}, **({"said": said} if stores else {"says": says}))
        kept.append(objective(running, student, stage, job["seed"]))
        # The last checkpoint is the best: no other system judges its student on the way.
        judge, by = (lambda *_: {"task_metric": float(next(judged))}), "task_metric"
        if not stores:
            return StagePlan(kept[0], rows, pad, judge, by)
        stored = store_states(running, kept[0].inner, rows, pad, "fp32")  # type: ignore[arg-type]
        logits = np.stack([said.rows[row_key(rows[row]["input_ids"])] for row in range(len(rows))])

        def collate(items: list[dict[str, Any]]) -> dict[str, Tensor]:
            batch = pad(items)
            return batch | {"teacher_logits": torch.from_numpy(logits[batch["row"].numpy()])}

        return StagePlan(kept[0], rows, with_states(collate, stored), judge, by, states=states_facts(stored))

    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISTILL_CACHE"] = folder
        begin = time.perf_counter()
        facts = train_stages(made, plan, work=Path(folder) / "work", log=Path(folder) / "log.jsonl")
        seconds = time.perf_counter() - begin
    job["stored_states"] = facts["stages"][0]["stored_states"]
    start.inner.projections.load_state_dict(kept[0].inner.projections.state_dict())  # type: ignore[union-attr]
    return seconds


def loader(job: dict[str, Any], rows: TokenRows) -> DataLoader:
    """Shuffled batches as plain dicts, each padded to its longest row or all to the cap."""
    pad = Pad(CAP if job["system"].endswith("padded") else None)

    def collate(items: list[dict[str, Any]]) -> dict[str, Tensor]:
        batch = pad(items)
        return {name: batch[name] for name in ("input_ids", "attention_mask")}

    order = torch.Generator().manual_seed(job["seed"])
    return DataLoader(rows, job["batch"], shuffle=True, collate_fn=collate, generator=order)  # type: ignore[arg-type]


def of_textbrewer(job: dict[str, Any], teacher: nn.Module, student: nn.Module, start: TaskObjective, rows: TokenRows) -> float:
    """GeneralDistiller as its examples use it, with eager attention and plain batches, without which it does not run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig

    start.close()
    projections = ordered(start)
    width = (student.config.hidden_size, teacher.config.hidden_size)
    matches: list[dict[str, Any]] = [
        {"layer_T": t, "layer_S": s, "feature": "hidden", "loss": "hidden_mse", "weight": 1, "proj": ["linear", *width]}
        for t, s in HIDDEN
    ]
    matches += [{"layer_T": t, "layer_S": s, "feature": "attention", "loss": "attention_mse", "weight": 1} for t, s in PAIRS]

    def adapt(batch: dict[str, Tensor], output: Any) -> dict[str, Any]:
        return {
            "logits": output.logits,
            "hidden": output.hidden_states,
            "attention": output.attentions,
            "inputs_mask": batch["attention_mask"],
        }

    with tempfile.TemporaryDirectory() as folder:
        distiller = GeneralDistiller(
            TrainingConfig(device="cpu", output_dir=folder),
            DistillationConfig(temperature=TEMPERATURE, kd_loss_weight=TEMPERATURE**2, intermediate_matches=matches),
            teacher,
            student,
            adapt,
            adapt,
        )
        for theirs, ours in zip(distiller.projs, projections, strict=False):  # the attention matches have none
            theirs.load_state_dict(ours.state_dict())
        begin = time.perf_counter()
        batches = loader(job, rows)
        steps = len(batches) * job["epochs"]
        optimizer = torch.optim.AdamW(student.parameters(), lr=RATE, weight_decay=0)
        with distiller:
            distiller.train(
                optimizer,
                batches,
                num_epochs=job["epochs"],
                scheduler_class=get_linear_schedule_with_warmup,
                scheduler_args={"num_warmup_steps": -(-steps // 10), "num_training_steps": steps},
                max_grad_norm=1e6,
                output_hidden_states=True,
                output_attentions=True,
            )
        seconds = time.perf_counter() - begin
    for theirs, ours in zip(distiller.projs, projections, strict=False):
        ours.load_state_dict(theirs.state_dict())
    return seconds


def of_loop(job: dict[str, Any], teacher: nn.Module, student: nn.Module, start: TaskObjective, rows: TokenRows) -> float:
    """A bare loop over TextBrewer's batches with this project's losses: what is left when everything else is taken away."""
    begin = time.perf_counter()
    batches = loader(job, rows)
    steps = len(batches) * job["epochs"]
    optimizer = torch.optim.AdamW(start.parameters(), lr=RATE, weight_decay=0)
    rate = get_linear_schedule_with_warmup(optimizer, -(-steps // 10), steps)
    student.train()
    for _ in range(job["epochs"]):
        for batch in batches:
            with torch.no_grad():
                logits = teacher(**batch).logits
            loss = soft_cross_entropy(student(**batch).logits, logits, None, temperature=TEMPERATURE)
            parts = start.inner(batch, ran=True)  # type: ignore[union-attr, misc]
            torch.stack([loss, *parts.values()]).sum().backward()
            nn.utils.clip_grad_norm_(start.parameters(), 1e6)
            optimizer.step()
            rate.step()
            optimizer.zero_grad()
    start.close()
    return time.perf_counter() - begin


def ordered(start: TaskObjective) -> list[nn.Module]:
    """The projections in the order of `HIDDEN`."""
    found = start.inner.projections  # type: ignore[union-attr]
    return [found["embedding_layer_mse_embeddings"], found["hidden_mse_0"], found["hidden_mse_1"]]


def judge(job: dict[str, Any], teacher: nn.Module, student: nn.Module, start: TaskObjective) -> dict[str, float]:
    """The same losses of every system on rows that none has seen, averaged over batches.

    The divergence stands in for the cross-entropy, which has the same gradient but a floor that would hide differences.
    """
    stage = recipe(job, [{"name": "kl_divergence", "temperature": TEMPERATURE}, *INNER], convention="distill").stages[0]
    seen = objective(InnerTeacher(teacher), student, stage, job["seed"])
    seen.inner.projections.load_state_dict(start.inner.projections.state_dict())  # type: ignore[union-attr]
    rows, pad, sums = TokenRows(job["dev"], job["seed"] + 1000), Pad(), {}
    seen.eval()
    batches = range(0, len(rows), 32)
    with torch.no_grad():
        for first in batches:
            batch = pad([rows[n] for n in range(first, min(first + 32, len(rows)))])
            batch.pop("row")
            logits = model_logits(teacher, batch, "classification")
            for name, value in seen(teacher_logits=logits, **batch).items():
                sums[name] = sums.get(name, 0.0) + float(value) / len(batches)
    seen.close()
    return {name: round(value, 6) for name, value in sums.items()}


SYSTEMS: dict[str, Callable[..., float]] = {
    "textbrewer_dynamic": of_textbrewer,
    "textbrewer_padded": of_textbrewer,
    "loop_dynamic": of_loop,
    "distill_live": of_distill,
    "distill_live_bf16": of_distill,
    "distill_stored": of_distill,
    "distill_stored_bf16": of_distill,
}


def main() -> None:
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    attention = "eager" if job["system"].startswith("textbrewer") else "sdpa"
    teacher = model(6, job["teacher"], job["seed"], attention)
    student = model(2, job["student"], job["seed"] + 1, attention)
    teacher.requires_grad_(False)
    start = objective(InnerTeacher(teacher), student, recipe(job, WORK).stages[0], job["seed"])
    rows = TokenRows(job["rows"], job["seed"])
    before = peak_rss_mb()
    with contextlib.redirect_stdout(io.StringIO()):
        seconds = SYSTEMS[job["system"]](job, teacher, student, start, rows)
    peak = peak_rss_mb()
    found = {
        "seconds": round(seconds, 3),
        "sentences_per_second": round(job["rows"] * job["epochs"] / seconds, 2),
        "peak_rss_mb": peak,
        "peak_rss_before_training_mb": before,
        "stored_states": job.get("stored_states"),
        "dev": judge(job, teacher, student, start),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
