"""A model folder as something to export: loaded whole, checked against its tokenizer, saved, written as graphs, proved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..files import read_json, write_json
from ..locating import locate_model
from .check_model import check_tokenizer
from .graph import check_exportable
from .head_parity import Row, check_head_parity, row_feeds
from .heads import write_head_presets
from .kinds import BILSTM, OF_TEXTS, Kind, find_kind
from .onnx import write_presets
from .parity import PROBES, check_parity, probe_sentences
from .search import Budget
from .smooth import TEXTS

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

QUESTIONS = ("Who {}?", "What {}?", "어디에서 {}?")


class EncoderSubject:
    """A sentence encoder.

    Args:
        encoder: as it was loaded.
        kind: what its folder says that it is.
        texts: of the domain; none: sentences of the toolkit's own.
    """

    def __init__(self, encoder: SentenceTransformer, kind: Kind, texts: Sequence[str] = ()) -> None:
        from students.table import with_token_table

        self.kind = kind
        self.texts = list(texts) or probe_sentences()
        self.encoder = with_token_table(encoder)
        check_exportable(self.encoder)

    def write(self, folder: Path, presets: Sequence[str], opset: int, budget: Budget | None = None) -> None:
        """Save the model, its tokenizer and the ONNX file of each preset in `folder`."""
        from students.save import save_student

        save_student(self.encoder, folder)
        write_presets(self.encoder, folder, presets, opset, self.texts, budget)

    def prove(self, folder: Path, presets: Sequence[str]) -> dict[str, Any]:
        """The content of parity.json."""
        return {**check_parity(self.encoder, folder, presets, self.texts), "task": "embedding"}


class HeadSubject:
    """A model with a task head.

    Args:
        model: of transformers, or a BiLSTM; fp32.
        tokenizer: fast.
        max_length: longest input in tokens.
        kind: what its folder says that it is.
        activation: what a cross-encoder does with its logits, as sentence-transformers spells it; None for any other model.
        texts: of the domain; none: sentences of the toolkit's own.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        max_length: int,
        kind: Kind,
        activation: str | None = None,
        texts: Sequence[str] = (),
    ) -> None:
        from teachers.heads import PROBLEMS

        self.model, self.tokenizer, self.max_length, self.kind, self.activation = model, tokenizer, max_length, kind, activation
        self.rows = probe_rows(kind.task, kind.pairs, texts)
        if kind.task in OF_TEXTS:
            model.config.problem_type = PROBLEMS[kind.task]

    def write(self, folder: Path, presets: Sequence[str], opset: int, budget: Budget | None = None) -> None:
        """Save model, tokenizer and the ONNX file of each preset in `folder`; config.json tells what follows the logits."""
        from students.heads import save_head_student

        save_head_student(self.model, self.tokenizer, folder, max_length=self.max_length)
        config = read_json(folder / "config.json")
        write_json(folder / "config.json", {**config, **self.settings()})
        feeds = row_feeds(self.rows[:TEXTS], self.tokenizer, self.model, self.kind.task)
        write_head_presets(self.model, self.tokenizer, folder, presets, opset, feeds, budget)

    def prove(self, folder: Path, presets: Sequence[str]) -> dict[str, Any]:
        """The content of parity.json."""
        return check_head_parity(self.model, self.tokenizer, folder, presets, self.rows, self.kind.task)

    def settings(self) -> dict[str, Any]:
        """What config.json tells clients of the step behind the logits: `problem_type` (softmax, sigmoid or none) and labels."""
        names = {str(index): str(label) for index, label in sorted(self.model.config.id2label.items())}
        found: dict[str, Any] = {"id2label": names, "label2id": {label: int(index) for index, label in names.items()}}
        if self.kind.task in OF_TEXTS:
            found["problem_type"] = self.model.config.problem_type
        if self.activation is not None:
            found["sentence_transformers"] = {"activation_fn": self.activation}
        return found


def open_subject(
    model: str | Path | SentenceTransformer, task: str | None = None, texts: Sequence[str] = ()
) -> EncoderSubject | HeadSubject:
    """Whatever is to be exported, ready for it.

    Args:
        model: hub id, folder, `package:NAME`, or a loaded SentenceTransformer; of one in half precision, a copy in fp32.
        task: what it is, where its files leave that open.
        texts: of the domain, for calibration and proof; none: sentences of the toolkit's own.

    Raises:
        UserError: see `find_kind`.
        ModelError: the model cannot be loaded or exported; weights of it are missing; its tokenizer does not fit.
    """
    from teachers.folder import download
    from teachers.heads import load_tokenizer, load_trained_head
    from teachers.load import as_teacher, load_encoder

    if not isinstance(model, (str, Path)):
        encoder = as_teacher(model).model
        if task not in (None, "embedding"):
            raise ModelError("a SentenceTransformer is a sentence encoder", where="task", got=task, expected="embedding")
        return EncoderSubject(encoder, Kind("embedding", "a SentenceTransformer object"), texts)
    name = str(model)
    place = locate_model(name)
    folder = Path(place) if Path(place).is_dir() else download(place, None)
    kind = find_kind(folder, name, task)
    if kind.task == "embedding":
        subject = EncoderSubject(load_encoder(str(folder)), kind, texts)
        first = subject.encoder[0]
        check_tokenizer(subject.encoder.tokenizer, getattr(first, "auto_model", first), name, kind)
        return subject
    if kind.family == BILSTM:
        from students.bilstm import load_bilstm

        network: Any = load_bilstm(folder)
        tokenizer = load_tokenizer(folder, name)
        longest = int(tokenizer.model_max_length) if tokenizer.model_max_length < 1e9 else 512
    else:
        head = load_trained_head(str(folder), kind.task)  # type: ignore[arg-type]
        network, tokenizer, longest = head.model, head.tokenizer, head.max_length
    check_tokenizer(tokenizer, network, name, kind)
    cross = kind.pairs and kind.family != BILSTM
    return HeadSubject(network, tokenizer, longest, kind, _activation(folder, network.config) if cross else None, texts)


def probe_rows(task: str, pairs: bool, texts: Sequence[str] = ()) -> list[Row]:
    """Input for the proof of a task model: texts, pairs of texts, or questions with a context.

    Args:
        task: what the model is for.
        pairs: whether it reads pairs of texts.
        texts: of the domain; none: sentences of the toolkit's own, the same ones every time.
    """
    if task == "spans":  # a context says nothing twice: of two places with the same answer no reader knows the better one
        given = list(dict.fromkeys(texts)) or probe_sentences()[::7]
        contexts = [" ".join(given[(n + 5 * j) % len(given)] for j in range(min(1 + n % 6, len(given)))) for n in range(PROBES)]
        return [(_question(n, given[n % len(given)]), context) for n, context in enumerate(contexts)]
    texts = list(texts) or probe_sentences()
    if pairs:
        return list(zip(texts, [*texts[1:], texts[0]], strict=True))
    return list(texts)


def _question(number: int, text: str) -> str:
    return QUESTIONS[number % len(QUESTIONS)].format(" ".join(text.split()[:6]))


def _activation(folder: Path, config: Any) -> str:
    """What a cross-encoder does with its logits, as its files say; else as sentence-transformers does by default."""
    places: list[Mapping[str, Any]] = [getattr(config, "sentence_transformers", None) or {}]
    if (folder / "config_sentence_transformers.json").is_file():
        places.append(read_json(folder / "config_sentence_transformers.json"))
    found = next((place["activation_fn"] for place in places if place.get("activation_fn")), None)
    found = found or getattr(config, "sbert_ce_default_activation_function", None)
    default = "activation.Sigmoid" if config.num_labels == 1 else "linear.Identity"
    return str(found or f"torch.nn.modules.{default}")
