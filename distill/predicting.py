"""`distill predict`: the rows of a file to labels, entities or answers, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from .errors import DataError, UserError
from .progress import track
from .reading import Row, count_lines, find_form, read_rows, text_of
from .runtime.answers import QuestionAnswerer
from .runtime.classifier import Classifier, Prediction
from .runtime.encoder import Encoder
from .runtime.model import Model
from .runtime.pairs import CrossPair
from .runtime.tagger import TokenClassifier
from .writers import RECORDS, check_out, open_writer

_WORD = {"text": "text", "start": "whole", "end": "whole", "label": "text", "score": "number"}
_ENTITY = {**_WORD, "first": "whole", "last": "whole"}


class Plan(NamedTuple):
    """How one kind of model reads rows and what it says of them.

    Attributes:
        read: row and where it stands -> what the model takes.
        run: a stream of these -> lists of results.
        tell: row and result -> the record that is written.
        columns: of the records, as `writers.arrow_type` spells them.
    """

    read: Callable[[Row, str], Any]
    run: Callable[[Iterable[Any]], Iterator[list[Any]]]
    tell: Callable[[Row, Any], dict[str, Any]]
    columns: Mapping[str, Any]


def predict_file(
    model: Model,
    file: Path,
    out: Path,
    batch_size: int | None = None,
    *,
    form: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> int:
    """Run a model over every row of `file` and write what it says to `out`, whole or not at all.

    Args:
        model: made by `distill.load`, of any kind but a sentence encoder.
        file: lines of text, TSV or JSON lines (`-` reads stdin) with the columns `text` and, of pairs, `text_pair`; for tags
            `text` or `words` (a list); for answers `question`, `context` and, if there is one, `id`.
        out: .jsonl or .parquet.
        batch_size: rows per run of the model; None leaves it to the model.
        form: lines, tsv or jsonl; None: by the file's name.
        options: more arguments of the model's `predict`, such as on_long.

    Returns:
        How many rows there were.

    Raises:
        DataError: the file is missing or not UTF-8, or a row has not what the model needs.
        RunError: the disk refuses.
        UserError: the name of `out` tells no format; an option does not fit the model.
    """
    check_out(out, RECORDS, "predictions.jsonl")
    kind = find_form(file, form)
    plan = _plan(model, batch_size, dict(options or {}))
    waiting: deque[Row] = deque()

    def inputs() -> Iterator[Any]:
        rows = track(read_rows(file, kind), total=count_lines(file), description="predicting", unit="rows")
        for number, row in enumerate(rows, start=1):
            item = plan.read(row, f"{file}, row {number}")
            waiting.append(row)
            yield item

    count = 0
    with open_writer(out, columns=plan.columns) as writer:
        for part in plan.run(inputs()):
            writer.add([plan.tell(waiting.popleft(), found) for found in part])
            count += len(part)
    return count


def _plan(model: Model, batch_size: int | None, options: dict[str, Any]) -> Plan:
    """The plan of a model's kind."""
    if isinstance(model, Classifier):
        _only(options, {"on_long", "threshold"}, "a classifier")
        return _of_texts(model, batch_size, options)
    if isinstance(model, TokenClassifier):
        _only(options, {"on_long", "unit"}, "a classifier of tokens")
        columns = {"text": "text", "words": [_WORD], "entities": [_ENTITY], "cut": "yes"}
        return Plan(_read_words, lambda rows: model.predict_stream(rows, batch_size, **options), _tell_tags, columns)
    if isinstance(model, QuestionAnswerer):
        _only(options, {"on_long", "no_answer"}, "a reader that finds answers")
        columns = {"id": "text", "question": "text", "answer": "text", "start": "whole", "end": "whole", "score": "number"}
        return Plan(_read_asked, lambda rows: model.predict_stream(rows, batch_size, **options), _tell_answer, columns)
    kind = "a sentence encoder" if isinstance(model, Encoder) else type(model).__name__
    raise UserError("this model predicts nothing", where=str(model.folder), got=kind, hint="distill encode MODEL FILE -o OUT.npy")


def _only(options: dict[str, Any], known: set[str], kind: str) -> None:
    for name in options:
        if name not in known:
            raise UserError(
                "this option does not fit the model",
                where="--" + name.replace("_", "-"),
                got=kind,
                expected=", ".join("--" + other.replace("_", "-") for other in sorted(known)),
            )
    if "unit" not in known and options.get("on_long") == "windows":
        raise UserError("windows are for tags alone", where="--on-long", got=kind, expected="cut or error")


def _of_texts(model: Classifier, batch_size: int | None, options: dict[str, Any]) -> Plan:
    regression, several = (model.problem == kind for kind in ("regression", "multi_label_classification"))
    columns: dict[str, Any] = {"text": "text", "text_pair": "text"}
    if not regression:
        columns |= {"labels": ["text"]} if several else {"label": "text"}
    columns |= {"score": "number"} if not several else {}
    columns |= {} if regression else {"probabilities": {"str": "number"}}

    def read(row: Row, where: str) -> Any:
        text = text_of(row, where)
        if row.get("text_pair") is None and not isinstance(model, CrossPair):
            return text
        return text, text_of(row, where, "text_pair")

    def tell(row: Row, found: Prediction) -> dict[str, Any]:
        made = {name: row[name] for name in ("id", "text", "text_pair") if row.get(name) is not None}
        if regression:
            return {**made, "score": found.score}
        named: dict[str, Any] = {"labels": list(found.labels)} if several else {"label": found.label, "score": found.score}
        return {**made, **named, "probabilities": dict(found.probabilities)}

    return Plan(read, lambda rows: model.predict_stream(rows, batch_size, **options), tell, columns)


def _read_words(row: Row, where: str) -> Any:
    words = row.get("words")
    if words is None:
        return text_of(row, where)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError("'words' is no list of texts", where=where, got=repr(words), expected='["one", "two"]')
    return words


def _tell_tags(row: Row, found: Any) -> dict[str, Any]:
    made = asdict(found)
    return {**({"id": row["id"]} if "id" in row else {}), **made}


def _read_asked(row: Row, where: str) -> tuple[str, str]:
    return text_of(row, where, "question"), text_of(row, where, "context")


def _tell_answer(row: Row, found: Any) -> dict[str, Any]:
    best = found[0]
    score = None if best.score != best.score else best.score
    key = {"id": str(row["id"])} if row.get("id") is not None else {}
    return {**key, "question": row["question"], "answer": best.text, "start": best.start, "end": best.end, "score": score}
