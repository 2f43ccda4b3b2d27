"""What is wrong with an evaluation set of a sentence encoder, as far as the first rows of its sources tell. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..errors import DistillError
from ..recipe_data import EvaluationSpec, SourceSpec
from .evaluation import parallel_of
from .evaluation_retrieval import check_relevance, check_texts
from .evaluation_sets import sources_of_set
from .labelled_check import check_labelled
from .sources import check_source, source_kind


def check_set(spec: EvaluationSpec) -> Iterator[tuple[str, DistillError]]:
    """The problems of every source of a set; a hub data set is not looked up.

    Args:
        spec: the set.

    Yields:
        Where in the recipe below the set (`fit`, `queries`, `relevance`, `second`, or "" for the set's own source), and
        what is wrong there.
    """
    if spec.kind == "translation":
        yield from _check_translation(spec)
        return
    for part, source in sources_of_set(spec).items():
        for problem in _CHECKS[spec.kind](part, source):
            yield part, problem


def _check_translation(spec: EvaluationSpec) -> Iterator[tuple[str, DistillError]]:
    from .parallel.read import check_parallel

    try:
        yield from (("", problem) for problem in check_parallel(parallel_of(spec)))
    except DistillError as problem:
        yield "", problem


def _check_transfer(part: str, source: SourceSpec) -> list[DistillError]:
    return check_labelled(source, "classification")


def _check_retrieval(part: str, source: SourceSpec) -> list[DistillError]:
    try:
        if source_kind(source) != "hub":
            (check_relevance if part == "relevance" else check_texts)(source)
    except DistillError as problem:
        return [problem]
    return []


_CHECKS: dict[str, Callable[[str, SourceSpec], list[DistillError]]] = {
    "sts": lambda part, source: check_source(source),
    "transfer": _check_transfer,
    "retrieval": _check_retrieval,
}
