"""Open an ONNX file in onnxruntime: safe, with a known number of threads, every failure a clear error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from ..errors import ModelError, UserError, nearest
from .selfcontained import require_self_contained

OUTPUT = "sentence_embedding"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def open_session(path: Path, threads: int | None = None, providers: Sequence[str] | None = None) -> onnxruntime.InferenceSession:
    """Load a sentence-embedding graph.

    Args:
        path: a self-contained .onnx file.
        threads: exactly so many threads per run, which sleep while there is nothing to do. None leaves it to
            onnxruntime: one per physical core, busy-waiting between runs, faster alone and a bad neighbour.
        providers: onnxruntime execution providers, best first; None takes the CPU.

    Raises:
        UserError: `threads` is below 1.
        ModelError: a provider that is not installed; a file that is damaged, keeps weights elsewhere, needs a newer
            onnxruntime, or is no sentence-embedding graph.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone: what fails is raised
    options.inter_op_num_threads = 1
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
    _check_graph(session, path)
    return session


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


def _check_graph(session: onnxruntime.InferenceSession, path: Path) -> None:
    """The graph must be one of ours: token ids in, a sentence embedding out."""
    inputs = {node.name for node in session.get_inputs()}
    outputs = {node.name for node in session.get_outputs()}
    if not {"input_ids", "attention_mask"} <= inputs <= set(INPUTS) or OUTPUT not in outputs:
        raise ModelError(
            "this graph is not a sentence encoder as this toolkit exports it",
            where=str(path),
            got=f"inputs {', '.join(sorted(inputs))}; outputs {', '.join(sorted(outputs))}",
            expected=f"inputs among {', '.join(INPUTS)}; output {OUTPUT}",
            hint="export the model with `distill export`",
        )
