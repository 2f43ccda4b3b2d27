"""Write the fp32 ONNX graph, and from it every preset that was asked for."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import DistillError, ModelError, UserError, nearest
from ..files import atomic_write, write_json
from ..progress import track
from .graph import example_inputs, graph_positions, is_table, sentence_graph
from .judges import encoder_judge
from .quantize import FILES, quantize, strip
from .rewrite import gemm_to_matmul
from .search import MIN_COSINE, Budget, Search, check_budget, search_of
from .search_log import SEARCH
from .smooth import Feeds, text_feeds
from .traces import let_go, of_its_own, without_sources

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from ..data.evaluation import EvaluationSet


def write_graph(encoder: SentenceTransformer, target: Path, opset: int = 20) -> None:
    """Export an encoder to one self-contained fp32 ONNX file.

    Inputs: int64 `input_ids`, `attention_mask` and, where the model has them, `token_type_ids`, each
    [batch, sequence], both dynamic. Outputs: float32 `sentence_embedding` [batch, dim], pooled, projected and
    normalised as the encoder does it, and of a transformer `last_hidden_state` [batch, sequence, hidden].

    Args:
        encoder: the model; it is not changed.
        target: the .onnx file; whole or absent.
        opset: ONNX operator set, 18 to 22.

    Raises:
        ModelError: the model cannot be exported; the exporter's reason is told.
    """
    graph = sentence_graph(_eager_copy(encoder)).eval()
    inputs = example_inputs(graph.input_names, graph.pad_id)
    export_graph(graph, inputs, graph.input_names, graph.output_names, graph_positions(encoder), target, opset)


def export_graph(
    module: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    longest: int,
    target: Path,
    opset: int = 20,
) -> None:
    """Export a function of token tensors to one self-contained fp32 ONNX file.

    Args:
        module: on the CPU, in eval mode; its `model`, if it has one, is what an error names.
        inputs: what is traced, int64 [batch, sequence] each, in the order of `forward`.
        input_names, output_names: as the file should name them.
        longest: the longest sequence that the graph allows, in tokens.
        target: the .onnx file; whole or absent.
        opset: ONNX operator set, 18 to 22.

    Raises:
        ModelError: the module cannot be exported; the exporter's reason is told.
    """
    axes = {0: torch.export.Dim("batch", min=1, max=65536), 1: torch.export.Dim("sequence", min=1, max=longest)}
    try:
        with torch.no_grad(), _quiet(), without_sources():
            program = torch.onnx.export(
                module,
                tuple(of_its_own(tensor) for tensor in inputs),
                dynamo=True,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_shapes=tuple(axes for _ in inputs),
                opset_version=opset,
                external_data=False,
            )
    except Exception as error:  # the exporter raises many kinds; all mean the same to a user
        raise ModelError(
            "this model cannot be exported to ONNX",
            where=type(getattr(module, "model", module)).__name__,
            got=f"{type(error).__name__}: {error}",
            hint="run with --debug for the exporter's own words",
        ) from error
    if program is None:
        raise DistillError("the ONNX exporter gave nothing back", where="export")
    model = program.model_proto
    let_go(program)
    strip(model)
    gemm_to_matmul(model)
    atomic_write(target, model.SerializeToString(deterministic=True))


def export_onnx(
    model: str | Path | SentenceTransformer,
    out: Path | str,
    presets: Sequence[str] = ("fp32", "fast", "faithful"),
    opset: int = 20,
    task: str | None = None,
    *,
    budget: Budget | None = None,
    texts: Sequence[str] = (),
) -> dict[str, Any]:
    """Export any encoder or task model, quantize it and prove each file against torch.

    What kind of model a folder holds is told by its own files; a transformers encoder without a head becomes a sentence
    encoder by the mean of its token vectors.

    Args:
        model: hub id, folder, `package:NAME`, or a loaded SentenceTransformer; of one in half precision, a copy in fp32.
        out: folder that gets the tokenizer, the torch model and `onnx/`; an earlier export there is replaced as a whole.
        presets: among fp32, fast, faithful, portable, fp16, searched.
        opset: ONNX operator set, 18 to 22.
        task: embedding, classification, multilabel, regression, tokens or spans, where the model's files leave that open.
        budget: what `searched` may lose; None: a mean cosine of 0.995.
        texts: of the domain, for calibration, search and proof; none: sentences of the toolkit's own.

    Returns:
        The content of parity.json: {"models": {preset: {"file", "max_abs", "mean_cosine", "passed", "graph", ...}}, "task",
        "told_by": where the task was found, "notes": what was assumed}.

    Raises:
        UserError: an unknown preset, operator set or task, or `out` holds something else than an earlier export.
        ModelError: the model cannot be loaded or exported.
    """
    from ..files import atomic_folder, write_json
    from .check_graph import check_opset
    from .subjects import open_subject

    check_presets(presets)
    check_opset(opset)
    target = Path(out)
    if target.exists() and not (target.is_dir() and ((target / "parity.json").is_file() or not any(target.iterdir()))):
        raise UserError("this was not made by an export, so it is not replaced", where=str(target), hint="choose another folder")
    subject = open_subject(model, task, texts)
    with atomic_folder(target) as work:
        subject.write(work, presets, opset, budget)
        kind = {"told_by": subject.kind.source, "notes": list(subject.kind.notes)}
        parity = {**subject.prove(work, presets), **kind}
        write_json(work / "parity.json", parity)
    return parity


def write_presets(
    encoder: SentenceTransformer,
    folder: Path,
    presets: Sequence[str],
    opset: int,
    texts: Sequence[str] = (),
    budget: Budget | None = None,
    sets: Mapping[str, EvaluationSet] | None = None,
) -> dict[str, dict[str, int]]:
    """Write `onnx/<file>` of each preset below `folder`, which holds the saved encoder; returns preset -> quantized node counts.

    `texts` are real input, by which `fast` evens out activations before they become int8. `searched` is judged on them, or on
    the scored pairs of `sets` where `budget` speaks of a metric; None is a mean cosine of 0.995.
    """
    feeds = text_feeds(folder, texts) if texts and {"fast", "searched"} & set(presets) else ()
    search, budget = None, budget or Budget(min_cosine=MIN_COSINE)
    if "searched" in presets:
        check_budget(budget, texts)
        judged = encoder_judge(folder, texts, None if budget.metric_drop is None else sets)
        search = search_of(budget, judged, feeds)
    return write_files(lambda target: write_graph(encoder, target, opset), folder, presets, feeds, search)


def write_files(
    write_fp32: Callable[[Path], None], folder: Path, presets: Sequence[str], feeds: Feeds = (), search: Search | None = None
) -> dict[str, dict[str, int]]:
    """Write `onnx/<file>` of each preset below `folder`; returns preset -> quantized node counts.

    The files of presets that are not asked for are removed: they would be those of an earlier export, proved by nothing.

    Args:
        write_fp32: writes the fp32 graph to a file; the others are made from it.
        folder: of the model.
        presets: among fp32, fast, faithful, portable, fp16, searched.
        feeds: real inputs of the graph, by which `fast` evens out activations before they become int8.
        search: makes `searched` from the fp32 file and returns its log, which is kept beside it.
    """
    check_presets(presets)
    for name in FILES.keys() - set(presets):
        (folder / "onnx" / FILES[name]).unlink(missing_ok=True)
    (folder / "onnx" / SEARCH).unlink(missing_ok=True)
    source = folder / "onnx" / FILES["fp32"]
    found = {}
    ordered = sorted(presets, key=list(FILES).index)
    for name in track(ordered, total=len(ordered), description="exporting", unit="files"):
        if name == "fp32":
            write_fp32(source)
        elif name == "searched":
            assert search is not None, "whoever asks for searched brings what finds it"
            log = search(source, folder / "onnx" / FILES[name])
            write_json(folder / "onnx" / SEARCH, log)
            found[name] = log["counts"]
        else:
            found[name] = quantize(source, folder / "onnx" / FILES[name], name, feeds)
    return found


def check_presets(presets: Sequence[str]) -> None:
    """Refuse unknown presets, and a list without fp32, from which the others are made."""
    for name in presets:
        if name not in FILES:
            raise UserError("unknown preset", where="presets", got=name, expected=", ".join(FILES), hint=nearest(name, FILES))
    if "fp32" not in presets:
        raise UserError(
            "the preset fp32 is missing", where="presets", got=", ".join(presets), hint="the others are made from it: add fp32"
        )


def _eager_copy(encoder: SentenceTransformer) -> SentenceTransformer:
    """A copy on the CPU, fp32, with plain attention: its graph is smaller than that of the fused kernel and equal in value."""
    twin = copy.deepcopy(encoder).to("cpu").float().eval()
    if not is_table(twin):
        twin[0].auto_model.set_attn_implementation("eager")
    return twin


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of torchvision, tree specs and axis names; none concerns the user. Errors still raise."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
