"""Open an ONNX file in onnxruntime: safe, with a known number of threads, every failure a clear error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from ..errors import ModelError, UserError, nearest
from .selfcontained import require_self_contained

OUTPUT = "sentence_embedding"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
GRAPHS = {
    (OUTPUT,): "a sentence encoder",
    ("logits",): "a classifier of texts or tokens",
    ("start_logits", "end_logits"): "a reader that finds answers",
}
"""What a graph gives -> what it is: every kind that this toolkit exports."""


def open_session(
    path: Path,
    threads: int | None = None,
    providers: Sequence[str] | None = None,
    outputs: Sequence[str] | None = (OUTPUT,),
) -> onnxruntime.InferenceSession:
    """Load a graph that this toolkit exported.

    Args:
        path: a self-contained .onnx file.
        threads: exactly so many threads per run, which sleep while there is nothing to do. None leaves it to
            onnxruntime: one per physical core, busy-waiting between runs, faster alone and a bad neighbour.
        providers: onnxruntime execution providers, best first; None takes the CPU.
        outputs: what the graph must give, one of the keys of `GRAPHS`; None takes any kind (`graph_outputs` tells which).

    Raises:
        UserError: `threads` is below 1.
        ModelError: a provider that is not installed; a file that is damaged, keeps weights elsewhere, needs a newer
            onnxruntime, or is no graph of the wanted kind.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone: what fails is raised
    options.inter_op_num_threads = 1
    # Plans of memory are kept for every shape that was ever met: hundreds of megabytes with batches of all lengths, no speed.
    options.enable_mem_pattern = False
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise UserError("threads must be a whole number from 1", where="threads", got=repr(threads))
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = ["CPUExecutionProvider"] if providers is None else list(providers)
    _check_providers(wanted)
    require_self_contained(path)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # onnxruntime has a dozen kinds, none with a common base
        raise ModelError(
            f"onnxruntime {onnxruntime.__version__} cannot load this file",
            where=str(path),
            got=error,
            hint="export the model again, or update onnxruntime",
        ) from error
    _check_graph(session, path, outputs)
    return session


def graph_outputs(session: onnxruntime.InferenceSession) -> tuple[str, ...]:
    """The outputs that a graph is there for: a key of `GRAPHS`; () for a graph that is none of ours."""
    given = {node.name for node in session.get_outputs()}
    return next((names for names in GRAPHS if given >= set(names)), ())


def _check_providers(wanted: Sequence[str]) -> None:
    """onnxruntime falls back to another provider with a warning; here that is an error."""
    available = onnxruntime.get_available_providers()
    for name in wanted:
        if name not in available:
            raise ModelError(
                "this onnxruntime has no such execution provider",
                where="providers",
                got=name,
                expected=", ".join(available),
                hint=nearest(name, available),
            )
    if not wanted:
        raise UserError("no execution provider is given", where="providers", expected=", ".join(available))


def _check_graph(session: onnxruntime.InferenceSession, path: Path, wanted: Sequence[str] | None) -> None:
    """The graph must be one of ours: token ids in, and what is wanted out."""
    inputs = {node.name for node in session.get_inputs()}
    kind = graph_outputs(session)
    ours = {"input_ids", "attention_mask"} <= inputs <= set(INPUTS)
    if ours and kind and (wanted is None or kind == tuple(wanted)):
        return
    outputs = [node.name for node in session.get_outputs()]
    got = f"inputs {', '.join(sorted(inputs))}; outputs {', '.join(sorted(outputs))}"
    if wanted is None:
        raise ModelError(
            "this graph is none that this toolkit exports",
            where=str(path),
            got=got,
            expected=f"inputs among {', '.join(INPUTS)}; output {', or '.join(', '.join(names) for names in GRAPHS)}",
            hint="export the model with `distill export`",
        )
    if ours and kind:
        raise ModelError(
            f"this graph is {GRAPHS[kind]}, not {GRAPHS[tuple(wanted)]}",
            where=str(path),
            got=f"output {', '.join(kind)}",
            expected=f"output {', '.join(wanted)}",
            hint="distill.load runs every kind",
        )
    raise ModelError(
        f"this graph is not {GRAPHS[tuple(wanted)]} as this toolkit exports it",
        where=str(path),
        got=got,
        expected=f"inputs among {', '.join(INPUTS)}; output {', '.join(wanted)}",
        hint="export the model with `distill export`",
    )
