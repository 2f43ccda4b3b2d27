"""Code that shows how to use a student with a task head, one function a way of running it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .schema import Report
from .words import LABELLED, tell

Code = tuple[str, str, str]
TEXTS = '["A cat sits on the mat.", "The weather is fine."]'
ASKED = '"Where does the cat sit?", "A cat sits on the mat."'
PAD = "{ padding: true, truncation: true }"
CLASSES = {"tokens": "AutoModelForTokenClassification", "spans": "AutoModelForQuestionAnswering"}


def task_usage(report: Report, folder: str, file: str) -> list[Code]:
    """How to load a student of a task: (title, language, code).

    Args:
        report: of a run whose task has a head.
        folder: the student's folder, as the code should name it.
        file: the ONNX file, below it.
    """
    onnx = _onnx_spans if report.task == "spans" else _onnx_labels
    return [
        (tell("Python, with transformers (PyTorch)"), "python", _torch(report, folder)),
        (tell("Python, with onnxruntime alone"), "python", onnx(report, folder, file)),
        node_usage(report, folder, file),
    ]


def node_usage(report: Report, folder: str, file: str) -> Code:
    """How to run a student in Node with transformers.js; nothing is fetched.

    Args:
        report: of any task.
        folder: the student's folder, as the code should name it.
        file: the ONNX file, below it.
    """
    name = file.rpartition("/")[2].removesuffix(".onnx")
    options = {"model_quantized": '{ dtype: "q8" }', "model": '{ dtype: "fp32" }'}.get(
        name, f'{{ dtype: "fp32", model_file_name: "{name}" }}'
    )
    pair = _pairs(report) or report.task == "spans"
    first, second = (ASKED if report.task == "spans" else TEXTS[1:-1]).split('", "')
    texts = f'{first}", {{ text_pair: "{second}, padding: true, truncation: true }}' if pair else f"texts, {PAD}"
    prompt = report.teacher.prompt or ""
    given = f".map((text) => {json.dumps(prompt)} + text)" if prompt and report.task not in LABELLED else ""
    kind = {
        "embedding": "AutoModel",
        "tokens": "AutoModelForTokenClassification",
        "spans": "AutoModelForQuestionAnswering",
    }.get(report.task, "AutoModelForSequenceClassification")
    code = (
        f'import {{ {kind}, AutoTokenizer, env }} from "@huggingface/transformers";\n\n'
        "env.allowRemoteModels = false;\n"
        'env.localModelPath = "./";\n'
        f"const tokenizer = await AutoTokenizer.from_pretrained({json.dumps(folder)});\n"
        f"const model = await {kind}.from_pretrained({json.dumps(folder)}, {options});\n"
        + ("" if pair else f"const texts = {TEXTS}{given};\n")
        + f"const inputs = await tokenizer({texts});\n"
    )
    ends = {
        "embedding": "const { sentence_embedding } = await model(inputs);\nconsole.log(sentence_embedding.dims);",
        "spans": "const { start_logits, end_logits } = await model(inputs);\nconsole.log(start_logits.dims, end_logits.dims);",
    }
    end = "const { logits } = await model(inputs);\nconsole.log(logits.tolist(), model.config.id2label);"
    return tell("Node, with transformers.js"), "js", code + ends.get(report.task, end)


def _torch(report: Report, folder: str) -> str:
    if _part(report.recipe, "student").get("kind") == "bilstm":
        return (
            "import torch\nfrom transformers import AutoTokenizer\n\n"
            "from students.bilstm import load_bilstm  # distill-toolkit[train]\n\n"
            f"tokenizer, model = AutoTokenizer.from_pretrained({folder!r}), load_bilstm({folder!r})\n"
            f"{_tokens('texts', report)}"
            "with torch.inference_mode():\n    logits = model(**inputs).logits\n" + _print_torch(report.task)
        )
    if report.task == "spans":
        return (
            f"import torch\nfrom transformers import {CLASSES['spans']}, AutoTokenizer\n\n"
            f"tokenizer = AutoTokenizer.from_pretrained({folder!r})\n"
            f"model = {CLASSES['spans']}.from_pretrained({folder!r}).eval()\n"
            f'inputs = tokenizer({ASKED}, truncation="only_second", return_tensors="pt")\n'
            "with torch.inference_mode():\n    found = model(**inputs)\n"
            "scores = found.start_logits[0][:, None] + found.end_logits[0]\n"
            "context = torch.tensor([number == 1 for number in inputs.sequence_ids(0)])\n"
            'scores[~(context[:, None] & context).triu()] = float("-inf")\n'
            "start, end = divmod(int(scores.argmax()), scores.shape[1])\n"
            'print(tokenizer.decode(inputs["input_ids"][0, start : end + 1]))'
        )
    if report.task == "tokens":
        call = f'pipeline("token-classification", {folder!r}, aggregation_strategy="simple")'
        return f"from transformers import pipeline\n\ntag = {call}\nprint(tag({TEXTS}))"
    options = {
        "multilabel": ', top_k=None, function_to_apply="sigmoid"',
        "regression": ', function_to_apply="none"',
    }
    call = f'pipeline("text-classification", {folder!r}{options.get(report.task, "")})'
    return f"from transformers import pipeline\n\nclassify = {call}\nprint(classify({_rows(report)}))"


def _tokens(name: str, report: Report) -> str:
    """Lines that tokenize, for torch."""
    if _pairs(report):
        return f'first, second = {TEXTS}\ninputs = tokenizer(first, second, truncation=True, padding=True, return_tensors="pt")\n'
    return f'{name} = {TEXTS}\ninputs = tokenizer({name}, truncation=True, padding=True, return_tensors="pt")\n'


def _print_torch(task: str) -> str:
    if task == "regression":
        return "print(logits[:, 0].tolist())"
    if task == "multilabel":
        return "print([[model.config.id2label[i] for i in row.nonzero()[:, 0].tolist()] for row in logits >= 0])"
    return "print([model.config.id2label[i] for i in logits.argmax(1).tolist()])"


def _rows(report: Report) -> str:
    """Texts or a pair of them, as transformers' pipeline takes them."""
    return '{"text": "A cat sits on the mat.", "text_pair": "A cat is sitting."}' if _pairs(report) else TEXTS


def _onnx_head(folder: str, file: str, texts: str, rows: str) -> str:
    """Lines up to `feeds`; `texts` and `rows` are expressions."""
    return (
        "import json\n\nimport numpy as np\nimport onnxruntime as ort\nfrom tokenizers import Tokenizer\n\n"
        f"folder, texts = {folder!r}, {texts}\n"
        'config = json.load(open(f"{folder}/config.json"))\n'
        'tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")\n'
        'tokenizer.enable_truncation(json.load(open(f"{folder}/tokenizer_config.json"))["model_max_length"])\n'
        'tokenizer.enable_padding(pad_id=config.get("pad_token_id") or 0)\n'
        f'session = ort.InferenceSession(f"{{folder}}/{file}", providers=["CPUExecutionProvider"])\n'
        f"rows = {rows}\n"
        'columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}\n'
        "feeds = {node.name: np.array([getattr(row, columns[node.name]) for row in rows], dtype=np.int64)\n"
        "         for node in session.get_inputs()}\n"
    )


def _onnx_labels(report: Report, folder: str, file: str) -> str:
    texts = f"[tuple({TEXTS})]" if _pairs(report) else TEXTS
    code = _onnx_head(folder, file, texts, "tokenizer.encode_batch(texts)")
    code += 'logits = session.run(["logits"], feeds)[0]\n'
    if report.task == "regression":
        return code + "print(logits[:, 0])"
    code += 'labels = [config["id2label"][str(number)] for number in range(logits.shape[-1])]\n'
    if report.task == "tokens":
        return code + (
            "for row, scores in zip(rows, logits):\n"
            "    print([(token, labels[best]) for token, best, special in\n"
            "           zip(row.tokens, scores.argmax(1), row.special_tokens_mask) if not special])"
        )
    if report.task == "multilabel":
        return code + "print([[labels[number] for number in np.flatnonzero(row >= 0)] for row in logits])"
    return code + "print([labels[number] for number in logits.argmax(1)])"


def _onnx_spans(report: Report, folder: str, file: str) -> str:
    code = _onnx_head(folder, file, f"({ASKED})", "tokenizer.encode_batch([texts])")
    code = code.replace('["model_max_length"])', '["model_max_length"], strategy="only_second")')
    return code + (
        'start_logits, end_logits = session.run(["start_logits", "end_logits"], feeds)\n'
        "places = [place for place, number in enumerate(rows[0].sequence_ids) if number == 1]\n"
        "start, end = max(((i, j) for i in places for j in places if i <= j),\n"
        "                 key=lambda span: start_logits[0, span[0]] + end_logits[0, span[1]])\n"
        "print(texts[1][rows[0].offsets[start][0] : rows[0].offsets[end][1]])"
    )


def _pairs(report: Report) -> bool:
    """Whether the recipe says that it trains on pairs of texts: three columns, text, second text and label."""
    train = _part(report.recipe, "data").get("train")
    sources = train if isinstance(train, list) else [train]
    return any(len(item.get("columns") or ()) == 3 for item in sources if isinstance(item, Mapping)) and report.task != "tokens"


def _part(recipe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = recipe.get(name)
    return part if isinstance(part, Mapping) else {}
