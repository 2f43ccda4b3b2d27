"""Make one model, or load it, and keep its vectors of the sentences that are asked. Runs in any environment.

    python side_by_side_worker.py '{"do": ..., "work": ..., "out": ...}'

`do`: encode (a saved `model`), cut (three of the `teacher`'s layers), static-untrained, model2vec, model2vec-all, or mse (train a
saved `model` toward the `teacher`'s vectors of work/train.txt). Writes out/dev.npy, out/test.npy and, where a later job needs it,
out/model. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LAYERS = 3
BATCH = 64


def keep(job: dict[str, Any], encode: Callable[[list[str]], Any]) -> None:
    """The vectors of every sentence of work/asked.json."""
    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    for part, texts in json.loads((Path(job["work"]) / "asked.json").read_text("utf-8")).items():
        np.save(out / f"{part}.npy", np.asarray(encode(texts), dtype=np.float32), allow_pickle=False)


def of_torch(model: Any) -> Callable[[list[str]], Any]:
    return lambda texts: model.encode(texts, batch_size=BATCH, show_progress_bar=False)


def of_model2vec(job: dict[str, Any]) -> None:
    """model2vec's own distilling: 256 dimensions, or (for training) as many as the teacher has, in fp32."""
    from model2vec.distill import distill

    every = job["do"] == "model2vec-all"
    table = distill(job["teacher"], **({"pca_dims": None, "quantize_to": "float32"} if every else {}))
    table.save_pretrained(str(Path(job["out"]) / "model"))
    keep(job, table.encode)


def of_cut(job: dict[str, Any]) -> None:
    """Layers 0, 2 and 4, as in sentence-transformers' example: every other one, from the first on."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(job["teacher"], device="cpu")
    encoder = model[0].auto_model.encoder
    encoder.layer = torch.nn.ModuleList([encoder.layer[index] for index in range(0, 2 * LAYERS, 2)])
    model[0].auto_model.config.num_hidden_layers = LAYERS
    model.save(str(Path(job["out"]) / "model"))
    keep(job, of_torch(model))


def of_mse(job: dict[str, Any]) -> None:
    """SentenceTransformerTrainer with MSELoss toward the teacher's vectors, as its example of model distillation has it."""
    import tempfile

    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MSELoss

    model = started(Path(job["model"]))
    texts = (Path(job["work"]) / "train.txt").read_text("utf-8").splitlines()[: 200 if job["small"] else None]
    labels = SentenceTransformer(job["teacher"], device="cpu").encode(texts, batch_size=BATCH, show_progress_bar=False)
    steps = -(-len(texts) // BATCH) * job["epochs"]
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            num_train_epochs=job["epochs"],
            per_device_train_batch_size=BATCH,
            learning_rate=job["rate"],
            warmup_steps=-(-steps // 10),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=job["seed"],
            use_cpu=True,
        )
        rows = Dataset.from_dict({"sentence": texts, "label": labels.tolist()})
        SentenceTransformerTrainer(model=model, args=arguments, train_dataset=rows, loss=MSELoss(model)).train()
    keep(job, of_torch(model.eval()))


def started(folder: Path) -> Any:
    """A model to train: a saved one, or a table of model2vec's as sentence-transformers' StaticEmbedding."""
    from sentence_transformers import SentenceTransformer

    if (folder / "modules.json").is_file():
        return SentenceTransformer(str(folder), device="cpu")
    from safetensors.numpy import load_file
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    weights = load_file(folder / "model.safetensors")["embeddings"]
    table = StaticEmbedding(Tokenizer.from_file(str(folder / "tokenizer.json")), embedding_weights=weights)
    return SentenceTransformer(modules=[table], device="cpu")


def of_untrained(job: dict[str, Any]) -> None:
    """The table that this project's recipe `static` starts from."""
    from students.static import distil_static
    from teachers.load import load_encoder

    keep(job, of_torch(distil_static(load_encoder(job["teacher"]), dim=256)))


def main() -> None:
    job = json.loads(sys.argv[1])
    if job["do"] == "encode":
        from sentence_transformers import SentenceTransformer

        keep(job, of_torch(SentenceTransformer(job["model"], device="cpu")))
    else:
        makers = {"cut": of_cut, "mse": of_mse, "static-untrained": of_untrained}
        makers.get(job["do"], of_model2vec)(job)
    print(json.dumps({"out": job["out"]}))


if __name__ == "__main__":
    main()
