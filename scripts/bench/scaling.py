#!/usr/bin/env python3
"""Memory, disk and time of runs on ten thousand to a million sentences, and of one process against two.

    python scripts/bench/scaling.py [--sizes 10000 100000 1000000] [--runs FOLDER] [--results FOLDER]

The text is made up (6 to 20 words out of 5,000), the models are tiny (a teacher of two layers, 64 wide), so that what is seen
is what grows with the corpus. Each run is a `distill run` of its own with a cache of its own; training stops after --steps
steps, whatever the corpus. Beside it `distill augment` makes a variant of each sentence. Anonymous memory (RssAnon of
/proc/PID/status: what cannot leave memory without swap) is looked at every 50 ms, and the largest value goes to the stage that
was going on. `flat` compares the two largest sizes. The smallest size also runs in two processes (torchrun). Results:
scaling.json and scaling.md; the last line is JSON.
Timings need a quiet machine; memory does not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from distill.files import read_json, write_json
from distill.measure.hardware import environment

RESULTS = Path(__file__).parent / "results"
WORDS = 5000
FLAT = 1.10
"""Anonymous memory counts as flat up to this ratio of the largest size to the one before."""


def write_text(path: Path, count: int) -> None:
    """Made-up sentences, one a line; the same ones for the same count."""
    chance = random.Random(7)
    with open(path, "w", encoding="utf-8") as stream:
        for _ in range(count):
            words = chance.choices(range(WORDS), k=chance.randint(6, 20))
            stream.write(" ".join(f"word{word}" for word in words) + "\n")


def write_model(folder: Path) -> None:
    """A random sentence encoder: two layers, 64 wide, a word a token."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    pieces = [*special.values(), *(f"word{word}" for word in range(WORDS))]
    tokenizer = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    words = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **special)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=32,
    )
    plain = folder.with_name("plain")
    model = BertModel(config).eval()
    model.get_input_embeddings().weight.data *= 8
    model.save_pretrained(plain)
    words.save_pretrained(plain)
    modules = [Transformer(str(plain), max_seq_length=32), Pooling(64, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))


def write_recipe(path: Path, text: Path, teacher: Path, steps: int) -> None:
    """The recipe of every run; JSON is YAML."""
    recipe = {
        "name": "scaling",
        "teacher": {"model": str(teacher)},
        "data": {"train": str(text), "augment": None},
        "student": {"layers": 1},
        "stages": [{"losses": ["embedding_cosine", "similarity_matrix"], "max_steps": steps, "batch_size": 64}],
        "train": {"precision": "fp32", "patience": None, "evaluate_every": max(1, steps // 2)},
        "export": {"presets": ["fp32"]},
        "measure": {"batch": [1], "sequence": [16], "min_runs": 3, "min_seconds": 0, "passes": 1, "rounds": 1, "repeats": 0},
    }
    path.write_text(json.dumps(recipe, indent=2), "utf-8")


def anonymous_mb(pid: int) -> float:
    """RssAnon of a process in MB; 0 once it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii", errors="replace")
    except OSError:
        return 0.0
    found = [line for line in text.splitlines() if line.startswith("RssAnon:")]
    return int(found[0].split()[1]) * 1024 / 1e6 if found else 0.0


def stage_of(manifest: Path) -> str:
    """The stage that is going on: the one after the last that is done."""
    try:
        done = [entry["name"] for entry in read_json(manifest)["stages"]]
    except Exception:  # not there yet, or being replaced
        return "teacher"
    order = ["teacher", "data", "signals", "training"]
    return next((name for name in order if name not in done), "after training")


def watched(command: list[str], log: Path, stage: Any) -> dict[str, Any]:
    """Run a command and look at its memory: {"seconds", "peak_mb": {stage: MB}}."""
    start, peaks = time.perf_counter(), {}
    with open(log, "w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.05):
                name = stage()
                peaks[name] = round(max(peaks.get(name, 0.0), anonymous_mb(process.pid)), 1)

        watcher = threading.Thread(target=look)
        watcher.start()
        code = process.wait()
        done.set()
        watcher.join()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}; its words: {log}")
    return {"seconds": round(time.perf_counter() - start, 1), "peak_mb": peaks}


def disk_mb(folder: Path) -> float:
    """Bytes of all files below a folder, in MB."""
    return round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6, 1)


def measured(home: Path, count: int, steps: int) -> dict[str, Any]:
    """A run and an augmentation of so many sentences."""
    place = home / str(count)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    write_text(place / "text.txt", count)
    write_recipe(place / "recipe.yaml", place / "text.txt", home / "teacher", steps)
    os.environ["DISTILL_CACHE"] = str(place / "cache")
    command = [sys.executable, "-m", "distill", "run", str(place / "recipe.yaml"), "--out", str(place / "run")]
    run = watched(command, place / "run.log", lambda: stage_of(place / "run" / "manifest.json"))
    stages = {entry["name"]: entry["seconds"] for entry in read_json(place / "run" / "manifest.json")["stages"]}
    augment = [sys.executable, "-m", "distill", "augment", str(place / "recipe.yaml"), "data.augment={method: ngrams}"]
    made = watched([*augment, "--out", str(place / "more.parquet")], place / "augment.log", lambda: "augmentation")
    return {
        "sentences": count,
        "seconds": {**{name: stages[name] for name in ("data", "signals", "training")}, "augmentation": made["seconds"]},
        "peak_mb": {**run["peak_mb"], **made["peak_mb"]},
        "disk_mb": {
            "text": round((place / "text.txt").stat().st_size / 1e6, 1),
            "store": disk_mb(place / "cache" / "signals"),
            "run": disk_mb(place / "run"),
        },
    }


def in_processes(home: Path, count: int, world: int) -> dict[str, Any]:
    """Seconds of labelling and training in so many processes, one thread each, and the last loss."""
    place = home / str(count)
    os.environ["DISTILL_CACHE"] = str(place / f"cache-{world}")
    os.environ["OMP_NUM_THREADS"] = "1"
    out = place / f"run-{world}"
    for old in (out, place / f"cache-{world}"):
        shutil.rmtree(old, ignore_errors=True)
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(world), "-m"] if world > 1 else []
    watched(
        [sys.executable, "-m", *torchrun, "distill", "run", str(place / "recipe.yaml"), "--out", str(out)],
        place / f"run-{world}.log",
        str,
    )
    stages = {entry["name"]: entry["seconds"] for entry in read_json(out / "manifest.json")["stages"]}
    losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text("utf-8").splitlines() if '"loss"' in line]
    return {"processes": world, "signals_s": stages["signals"], "training_s": stages["training"], "last_loss": losses[-1]}


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows, names = result["sizes"], ["data", "signals", "training", "augmentation"]
    lines = ["# Scaling", "", "Largest anonymous memory (MB) and seconds of each stage; disk in MB.", ""]
    lines += [
        "| sentences | "
        + " | ".join(f"{name} MB" for name in names)
        + " | "
        + " | ".join(f"{name} s" for name in names)
        + " | store | run |"
    ]
    lines += ["|" + "---|" * (2 * len(names) + 3)]
    for row in rows:
        cells = [
            f"{row['sentences']:,}",
            *(f"{row['peak_mb'][name]:.0f}" for name in names),
            *(f"{row['seconds'][name]:.0f}" for name in names),
        ]
        lines.append("| " + " | ".join([*cells, f"{row['disk_mb']['store']:.0f}", f"{row['disk_mb']['run']:.0f}"]) + " |")
    told = ", ".join(f"{name} {value:.2f}" for name, value in result["growth"].items())
    lines += [
        "",
        f"Growth of anonymous memory from {rows[-2]['sentences']:,} to {rows[-1]['sentences']:,}: {told}."
        if len(rows) > 1
        else "",
    ]
    lines += ["", "| processes | signals s | training s | last loss |", "|---|---|---|---|"]
    lines += [
        f"| {row['processes']} | {row['signals_s']} | {row['training_s']} | {row['last_loss']:.6f} |"
        for row in result["processes"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2], help="how many the smallest size also runs in")
    parser.add_argument("--runs", type=Path, default=Path("runs/scaling"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    home = arguments.runs.resolve()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "teacher").exists():
        write_model(home / "teacher")
    before = environment()
    sizes = [measured(home, count, arguments.steps) for count in sorted(arguments.sizes)]
    growth = {}
    if len(sizes) > 1:
        small, large = (row["peak_mb"] for row in sizes[-2:])
        growth = {name: round(large[name] / small[name], 3) for name in ("data", "signals", "training", "augmentation")}
    result = {
        "sizes": sizes,
        "growth": growth,
        "flat": {name: value <= FLAT for name, value in growth.items()},
        "processes": [in_processes(home, min(arguments.sizes), world) for world in arguments.processes],
        "steps": arguments.steps,
        "environment": before,
    }
    write_json(arguments.results / "scaling.json", result)
    (arguments.results / "scaling.md").write_text(table(result), "utf-8")
    print(json.dumps({"growth": growth, "flat": result["flat"], "processes": result["processes"]}))


if __name__ == "__main__":
    main()
