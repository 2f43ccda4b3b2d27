"""What is wrong with an evaluation set of a sentence encoder, as far as the first rows of its sources tell. No torch."""

from __future__ import annotations

from ..errors import DistillError
from ..recipe_data import EvaluationSpec, SourceSpec
from .evaluation import parallel_of
from .evaluation_retrieval import check_relevance, check_texts
from .labelled_check import check_labelled
from .parallel import check_parallel
from .sources import check_source, source_kind


def check_part(rows: EvaluationSpec, part: str, source: SourceSpec) -> list[DistillError]:
    """The problems of one of a set's sources; empty if there are none. A hub data set is not looked up.

    Args:
        rows: the set.
        part: the source's name in `distill.data.evaluation_sets.sources_of_set`.
        source: the source.
    """
    if rows.kind == "sts":
        return check_source(source)
    if rows.kind == "transfer":
        return check_labelled(source, "classification")
    try:
        if rows.kind == "translation":
            return [] if part == "second" else check_parallel(parallel_of(rows))
        if source_kind(source) != "hub":
            (check_relevance if part == "relevance" else check_texts)(source)
    except DistillError as problem:
        return [problem]
    return []
