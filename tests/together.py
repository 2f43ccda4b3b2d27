"""Trainings that one process and several must agree on.

`launch` starts them under torchrun: `together.py HOME CASE ...`; with TOGETHER_DIE=N in the environment the last process is
killed at step N.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

VECTOR = ["embedding_cosine", "embedding_mse", "embedding_contrastive", "similarity_matrix", "pair_order"]
INNER = ["attention_mse", "attention_kl", "hidden_mse", "pkd", "minilm_v2", "ckd_word", "ckd_layer", "nst"]
SOFT = [
    {"name": "kl_divergence", "temperature": 2.0, "temperature_schedule": "flsw"},
    {"name": "soft_cross_entropy", "temperature": 2.0, "temperature_schedule": "cwsm"},
    "logits_mse",
    "logits_cosine",
    "hard_label",
]

CASES: dict[str, dict[str, Any]] = {
    # 97 rows in batches of 8: the last batch has one row, so that one of two processes has none.
    "vectors": {"stages": [{"losses": VECTOR, "matryoshka": [16]}]},
    "accumulated": {"stages": [{"losses": ["embedding_cosine", "pair_order"]}], "gradient_accumulation": 3},
    "states": {"stages": [{"losses": ["embedding_cosine", *INNER]}]},
    "masked": {"stages": [{"losses": ["mlm", {"name": "mlm_kl", "temperature_schedule": "cwsm"}, "hidden_cosine"]}]},
    "two-stages": {"stages": [{"name": "first", "losses": ["hidden_mse"]}, {"losses": ["similarity_matrix"]}]},
    "labels": {"task": True, "stages": [{"losses": SOFT}], "labelled": 50},
    "labels-and-states": {"task": True, "stages": [{"losses": ["hidden_mse", "fsp", "hard_label"]}]},
}


def prepared(case: str) -> Callable[[Path], dict[str, Any]]:
    """One of `CASES`, its models built: call it with a folder to train; the log is log.jsonl there."""
    values = {"dropout": 0.0, **CASES[case]}
    return (_task if values.pop("task", False) else _embedding)(**values)


def _task(*, stages: list[dict[str, Any]], labelled: int | None = None, **values: Any) -> Callable[[Path], dict[str, Any]]:
    import toytask

    states = any("fsp" in stage["losses"] for stage in stages)
    teacher = toytask.classifier(layers=4) if states else None
    model = toytask.classifier(seed=1)

    def train(home: Path) -> dict[str, Any]:
        return toytask.train(home, stages, student=model, teacher=teacher, labelled=labelled, **values).facts

    return train


def _embedding(*, stages: list[dict[str, Any]], **values: Any) -> Callable[[Path], dict[str, Any]]:
    import tiny
    import torch
    import toystudent

    from distill.train.inner import InnerTeacher

    masked = any("mlm" in stage["losses"] for stage in stages)
    texts, dev = tiny.SENTENCES[:97], tiny.SENTENCES[200:232]
    teacher = tiny.sentence_transformer(layers=4, dim=48)
    vectors = [np.asarray(teacher.encode(part, show_progress_bar=False)) for part in (texts, dev)]
    recipe = toystudent.recipe(3, [{"epochs": 2, **stage} for stage in stages], **values)
    start = tiny.sentence_transformer(layers=4, seed=5)
    student = toystudent.student(recipe, start)
    if masked:
        from transformers import AutoModelForMaskedLM

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            head = AutoModelForMaskedLM.from_config(start[0].auto_model.config).eval()
        inner = InnerTeacher(getattr(head, head.base_model_prefix), head=head, tokenizer=tiny.tokenizer())
    else:
        inner = InnerTeacher(teacher[0].auto_model)

    def train(home: Path) -> dict[str, Any]:
        return toystudent.train(recipe, student, home, (texts, dev), vectors, inner)

    return train


def read_log(home: Path) -> list[dict[str, Any]]:
    """The lines of home/log.jsonl."""
    return [json.loads(line) for line in (home / "log.jsonl").read_text("utf-8").splitlines()]


def launch(count: int, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a command (a file, or `-m` and a module) in so many processes on this machine, on one thread each."""
    root = Path(__file__).resolve().parents[1]
    paths = {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}", "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return subprocess.run(
        [*torchrun, *command],
        capture_output=True,
        text=True,
        env={**os.environ, **paths, **environment},
        timeout=300,
        check=False,
    )


def in_crew(count: int, work: Callable[[Any], Any], seconds: float = 20) -> list[Any]:
    """What `work(crew)` returned or raised in each of so many processes: threads here, on one store."""
    from torch.distributed import HashStore

    from distill.launch import Launch
    from distill.processes import Crew

    store = HashStore()
    found: list[Any] = [None] * count

    def run(rank: int) -> None:
        crew = Crew(Launch(rank, count), store)
        try:
            found[rank] = work(crew)
        except Exception as error:
            crew.fail(getattr(error, "exit_code", 3))
            found[rank] = error

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive(), "a process waits for ever"
    return found


def in_threads(count: int, work: Callable[[], Any], monkeypatch: Any) -> list[Any]:
    """What `work` returned or raised in each of so many processes, as `distill.processes` sees them: each thread has its crew."""
    mine = threading.local()

    class Mine:
        def __getattr__(self, name: str) -> Any:
            return getattr(mine.crew, name)

    def run(crew: Any) -> Any:
        mine.crew = crew
        return work()

    with monkeypatch.context() as patch:
        patch.setattr("distill.processes._crew", Mine())
        return in_crew(count, run, seconds=120)


def _die_at(step: int) -> None:
    """Kill the last process at the end of an optimizer step, before it is judged or saved."""
    from distill.processes import rank, world
    from distill.train.trainer import StageCallback

    before = StageCallback.on_step_end

    def die(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        before(self, args, state, control, **kwargs)
        if state.global_step == step and rank() == world() - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    StageCallback.on_step_end = die  # type: ignore[method-assign]


if __name__ == "__main__":
    from distill.launch import launched
    from distill.processes import together

    if "TOGETHER_DIE" in os.environ:
        _die_at(int(os.environ["TOGETHER_DIE"]))
    made = {name: prepared(name) for name in sys.argv[2:]}  # before: in a group transformers saves in one process alone
    with together(launched()):
        for name, train in made.items():
            train(Path(sys.argv[1]) / name)
