#!/usr/bin/env python3
"""Sentences a second of this project's trainer and of sentence-transformers' own, toward the same stored vectors.

    python scripts/bench/embed_distill.py [--rows 6400] [--epochs 3] [--rounds 5] [--threads 2]

Sentences of the documentation that is installed with Python; a vocabulary made of them; a teacher of 6 layers and a student of
2, both 256 wide, made from a seed. The teacher's vectors are computed once, before, and given to both: squared error (MSELoss
there, embedding_mse here), batches of 32, fp32, no dropout, AdamW, one checkpoint an epoch. Tokenizing counts, on both sides.

Every run is a process of its own, the systems in turn. `ratio` is that of sentences a second in the same round: the median over
rounds, and the lowest and highest of them. `final_loss_ratio` is that of the squared errors on sentences that neither has seen.

    --small    tiny models and 64 rows, one round: whether it runs, nothing about speed

The result is written to scripts/bench/results/embed_distill.json; the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from in_turn import run_worker, spread

from distill.data.python_docs import python_docs
from distill.files import write_json
from distill.measure.hardware import environment

RESULTS = Path(__file__).parent / "results" / "embed_distill.json"
WORKER = Path(__file__).with_name("embed_distill_worker.py")
SYSTEMS = ["distill", "sentence_transformers"]
CAP, UNSEEN = 128, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=6400)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="tiny models, one round: whether it runs, nothing about speed")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results (default: %(default)s)")
    args = parser.parse_args()
    work = {"rows": args.rows, "epochs": args.epochs, "batch": 32, "threads": args.threads, "seed": args.seed, "width": 256}
    if args.small:
        work, args.rounds = work | {"rows": 64, "epochs": 1, "batch": 16, "width": 32}, 1
    machine = environment()
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), work["rows"] + (16 if args.small else UNSEEN), work["width"], work["seed"])
        for number in range(args.rounds):
            rounds.append({})
            for system in SYSTEMS if number % 2 == 0 else SYSTEMS[::-1]:
                rounds[-1][system] = run_worker(WORKER, work | {"system": system, "folder": folder})
                print(f"round {number + 1} of {args.rounds}: {system} {json.dumps(rounds[-1][system])}", flush=True)
    ours, theirs = ([turn[system] for turn in rounds] for system in SYSTEMS)
    pairs = list(zip(ours, theirs, strict=True))
    found = {
        "ratio": spread([a["sentences_per_second"] / b["sentences_per_second"] for a, b in pairs]),
        "final_loss_ratio": spread([a["dev_mse"] / b["dev_mse"] for a, b in pairs], 5),
    }
    rows = {
        system: {name: spread([one[name] for one in seen], 6) for name in seen[0]}
        for system, seen in zip(SYSTEMS, (ours, theirs), strict=True)
    }
    args.results.parent.mkdir(parents=True, exist_ok=True)
    told = {"schema_version": 1, "small": args.small, "work": work, "rounds": args.rounds, **found, "rows": rows}
    write_json(args.results, told | {"each_round": rounds, "environment": machine})
    print(json.dumps(found))


def prepare(folder: Path, count: int, width: int, seed: int) -> None:
    """Write texts.json, student/ and vectors.npy: what every run starts from."""
    texts = list(python_docs(count))
    if len(texts) < count:
        sys.exit(f"the installed documentation has {len(texts)} sentences, {count} are needed: lower --rows")
    order = np.random.default_rng(seed).permutation(count)
    texts = [texts[place] for place in order]
    (folder / "texts.json").write_text(json.dumps(texts), "utf-8")
    words = vocabulary(texts)
    teacher = encoder(folder / "teacher", words, 6, width, seed)
    np.save(folder / "vectors.npy", teacher.encode(texts, batch_size=64, show_progress_bar=False))
    encoder(folder / "student", words, 2, width, seed + 1).save_pretrained(str(folder / "student"), create_model_card=False)


def vocabulary(texts: list[str]) -> Any:
    """A WordPiece tokenizer of 8,000 pieces."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # type: ignore[call-arg]
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=8000, special_tokens=special, show_progress=False))
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=CAP
    )


def encoder(folder: Path, words: Any, layers: int, width: int, seed: int) -> Any:
    """A SentenceTransformer with mean pooling from a seed; its encoder is written below the folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel

    shape = BertConfig(
        vocab_size=len(words),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=4 * width,
        max_position_embeddings=CAP,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(seed)
    made = BertModel(shape)
    made.get_input_embeddings().weight.data *= 5
    plain = folder.with_name(f"{folder.name}-encoder")
    made.save_pretrained(plain)
    words.save_pretrained(plain)
    modules = [Transformer(str(plain), max_seq_length=CAP), Pooling(width, "mean")]
    return SentenceTransformer(modules=modules, device="cpu").eval()


if __name__ == "__main__":
    main()
