"""What is wrong with a labelled source, as far as its first row tells. Imports no torch."""

from __future__ import annotations

from ..errors import DataError, DistillError
from ..files import expand
from ..recipe import BY_TOKEN, SourceSpec
from .conll import is_conll
from .labelled_columns import labelled_columns
from .sources import PYTHON_DOCS, missing_file, open_table, source_kind
from .squad import is_squad


def check_labelled(spec: SourceSpec, task: str, *, labelled: bool = True) -> list[DistillError]:
    """The problems of a labelled source; empty if there are none. A hub data set is not looked up.

    Args:
        spec: the source.
        task: of the recipe.
        labelled: whether its rows need labels.
    """
    try:
        path = expand(spec.source)
        if is_conll(spec) or is_squad(spec):
            if not path.is_file():
                raise missing_file(path, spec)
            return []
        kind = source_kind(spec)
        if kind == PYTHON_DOCS:
            if labelled or task in BY_TOKEN:
                raise DataError("python-docs has sentences, but no labels", where=spec.source, expected="a labelled file")
            raise DataError("python-docs is no source of this task", where=spec.source, expected="a file or hub data set")
        if kind == "hub":
            return []
        table = open_table(spec)
        if task not in BY_TOKEN:
            columns = labelled_columns(table, spec.columns, pair=None, scores=task == "regression", required=labelled)
            if next(iter(table.read(columns.positions)), None) is None:
                raise DataError("this source is empty", where=table.where)
    except DistillError as problem:
        return [problem]
    return []
