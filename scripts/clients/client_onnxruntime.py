"""Plain onnxruntime: the very lines of README.md, with another folder and other texts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import asking


def lines(readme: str) -> str:
    """The block of README.md that imports numpy, onnxruntime and tokenizers alone, without its margin."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", readme, re.MULTILINE)
    found = [block for block in blocks if "import numpy as np, onnxruntime as ort" in block]
    if len(found) != 1:
        raise SystemExit(f"README.md has {len(found)} blocks for plain onnxruntime, expected 1")
    return re.sub(r"^ {4}", "", found[0], flags=re.MULTILINE).strip("\n") + "\n"


def run(code: str, folder: str, file: str, texts: list[str]) -> list[Any]:
    """`embeddings`, as the lines compute them of these texts."""
    code = code.replace("runs/quickstart/student", folder.replace("\\", "/")).replace("model_quantized.onnx", file)
    code, count = re.subn(r"encode_batch\(\[.*?\]\)", "encode_batch(TEXTS)", code)
    if count != 1 or folder not in code or file not in code:
        raise SystemExit("the lines of README.md changed: their folder, file or texts are not found")
    names = {"TEXTS": texts}
    exec(code, names)
    return names["embeddings"].tolist()


def ask(job: asking.Found) -> list[asking.Found]:
    """Every encoder, every file."""
    code = lines(Path(job["readme"]).read_text("utf-8"))
    answers = []
    for model in (model for model in job["models"] if model["kind"] == "embedding"):
        texts = [model["prompt"] + text for text in model["inputs"]]
        for format_, file in asking.FILES.items():

            def found(model: asking.Found = model, file: str = file, texts: list[str] = texts) -> asking.Found:
                one = lambda rows: run(code, model["folder"], file, rows)  # noqa: E731
                return {"single": [one([text])[0] for text in texts], "batch": one(texts)}

            answers.append(asking.tried(model, "lines of README.md", format_, found))
    return answers


if __name__ == "__main__":
    asking.main(ask, "onnxruntime", "numpy", "tokenizers")
