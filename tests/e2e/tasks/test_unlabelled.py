"""Text without labels, and rows that no part may share."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
import tiny
from artefacts import facts, log
from taskruns import QUICK, TRAIN, recipe, taught


def test_unlabelled_text_is_learnt_from(trained, tmp_path, train_recipe):
    (tmp_path / "more.txt").write_text("".join(f"Nobody has labelled sentence {n}.\n" for n in range(40)), "utf-8")
    data = {**recipe("classification")["data"], "unlabelled": str(tmp_path / "more.txt")}
    out = tmp_path / "run"
    both = [
        {"name": "all", "losses": ["kl_divergence", "hard_label"], "epochs": 1, **QUICK},
        {"name": "gold", "losses": ["hard_label"], "epochs": 1, "data": "labelled", **QUICK},
    ]
    train_recipe(taught(trained, data=data, stages=both), out)
    counts = facts(out, "data")
    assert counts["train"] == counts["labelled"] + 40
    steps = [entry["planned_steps"] for entry in facts(out, "training")["stages"]]
    assert steps == [-(-counts["train"] // 16), -(-counts["labelled"] // 16)]
    table = pq.read_table(out / "data" / "train.parquet").to_pydict()
    assert table["label"][-40:] == [-100] * 40
    assert min(table["label"][:-40]) >= 0


def test_text_that_knows_the_dev_rows_in_part_is_told(trained, tmp_path, train_recipe, capsys):
    """Sentences of the dev set with other ends; the number stands in the manifest too."""
    dev = pq.read_table(trained / "data" / "dev.parquet").to_pydict()["text"]
    long = [text for text in dev if len(text.split()) >= 8]
    more = tmp_path / "more.txt"
    tiny.write_lines(more, [f"Well, {text.rstrip('.').upper()} -- or so." for text in long])
    out = tmp_path / "run"
    train_recipe(taught(trained, data={**recipe("classification")["data"], "unlabelled": str(more)}), out)
    assert facts(out, "data")["known_dev"] >= len(long) > 3
    assert f"of {len(dev)} dev rows share 8 words in a row with what is trained on" in capsys.readouterr().err


def test_answers_of_unlabelled_questions_are_not_told(place, tmp_path, train_recipe):
    """With gold labels alone a stage on all rows learns what one on the labelled rows learns."""
    tiny.write_task(tmp_path, "spans", 0, 40)
    tiny.write_task(tmp_path, "spans", 40, 60, "more.json")
    data = {"train": str(tmp_path / "questions.json"), "unlabelled": str(tmp_path / "more.json"), "stride": 16}
    runs = []
    for part in ("train", "labelled"):
        stage = {"losses": ["hard_label"], "epochs": 1, "batch_size": 64, "data": part, "learning_rate": 1e-3}
        teacher = {"model": "encoder", "max_length": 64, "finetune": {"epochs": 0.5, "batch_size": 16}}
        runs.append(tmp_path / part)
        train_recipe(recipe("spans", teacher=teacher, data=data, stages=[stage]), runs[-1])
    assert facts(runs[0], "data")["train"] == facts(runs[0], "data")["labelled"] + 20
    assert log(runs[0])[0]["loss"] == pytest.approx(log(runs[1])[0]["loss"], abs=1e-5)


def test_rows_of_an_evaluation_set_are_kept_out(trained, tmp_path, train_recipe):
    """Case, spaces and punctuation make no other text of it."""
    rows = tiny.text_rows()
    lines = [f"{text.upper().rstrip('.')} !\t{label}" for text, label in rows[:30]]
    (tmp_path / "test.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n", "utf-8")
    out = tmp_path / "run"
    data = {"train": "rows.tsv", "evaluate": {"test": str(tmp_path / "test.tsv")}}
    train_recipe(taught(trained, data=data), out)
    assert facts(out, "data")["removed_evaluation"] == 30
    kept = {name: pq.read_table(out / "data" / f"{name}.parquet").to_pydict()["text"] for name in ("train", "dev")}
    assert not {text for text, _ in rows[:30]} & {*kept["train"], *kept["dev"]}
    assert not {*kept["train"]} & {*kept["dev"]}
    assert len(kept["train"]) + len(kept["dev"]) == TRAIN - 30
