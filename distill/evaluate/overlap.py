"""Does the student find what the teacher finds? The same index on both models' vectors, and what the two bring up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import UserError
from .agreement import unit
from .bootstrap import ROUNDS, percentile_interval
from .indexes import EXACT, KINDS, IndexSettings, VectorIndex, build_index, clock, search_documents
from .resample import resampled_sums
from .vectors import widths

DEPTHS = (1, 10, 100)
SHORT = (EXACT, "int8", "binary", "binary_rescored")
"""The kinds of index that shorter vectors are tried in: those that differ in what they store."""


@dataclass(frozen=True)
class _Found:
    """What one model's index brings up: documents [q, k] by rank, -1 where there are no more, and what that took."""

    documents: np.ndarray
    build_seconds: float
    search_seconds: float
    size: int


@dataclass(frozen=True)
class _Task:
    """What every search of a comparison shares."""

    depth: int
    owners: np.ndarray | None
    exclude: np.ndarray | None
    settings: IndexSettings

    def find(self, documents: np.ndarray, queries: np.ndarray, kind: str) -> tuple[VectorIndex, _Found]:
        index = build_index(documents, kind, self.settings)
        return index, self.ask(index, queries)

    def ask(self, index: VectorIndex, queries: np.ndarray) -> _Found:
        start = clock(self.settings)
        _, found, _ = search_documents(index, queries, self.depth, owners=self.owners, exclude=self.exclude)
        return _Found(found, index.seconds, clock(self.settings) - start, index.size())


def retrieval_overlap(
    teacher: np.ndarray,
    student: np.ndarray,
    *,
    teacher_queries: np.ndarray | None = None,
    student_queries: np.ndarray | None = None,
    query_rows: np.ndarray | None = None,
    owners: np.ndarray | None = None,
    kinds: Sequence[str] = KINDS,
    k: Sequence[int] = DEPTHS,
    dims: Sequence[int] = (),
    normalize: bool = True,
    settings: IndexSettings | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare what a student's vectors bring up with what the teacher's do, an index type at a time.

    Symmetric rows search the student's vectors with the student's queries. Asymmetric ones, where the widths agree, search the
    teacher's vectors with the student's queries, as where the documents were indexed once by the teacher and a small student
    answers. Texts that occur twice have equal vectors and take turns by chance: leave them out.

    Args:
        teacher, student: vectors of the same documents [n, d_T] and [n, d_S], or of the same parts of documents.
        teacher_queries, student_queries: vectors of the same queries [q, d]. None for both: every document is a query for the
            others, never for itself (a part: for the other documents).
        query_rows: without queries, which rows are asked, int [q]; None asks all.
        owners: int [n], the document of each row, where rows are parts; a document ranks by its best part.
        kinds: of index, out of `indexes.KINDS`.
        k: how deep the lists are compared; capped by the number of documents.
        dims: numbers of dimensions that the student's vectors are cut to in further rows, for the kinds in `SHORT`; the teacher
            keeps its own. Those not below the student's width are left out.
        normalize: scale all vectors to length 1, so that the inner product is the cosine.
        settings: of the indexes.
        rounds, seed: bootstrap of queries for the 95% intervals.

    Returns:
        {"n": documents, "queries", "depths", "settings", "rows"}. A row has "kind", "mode" ("symmetric" or "asymmetric"), "dim"
        of the student's queries; a mean over queries by depth: "overlap" of the two models' lists from the same type of index
        (the teacher's at full width), "recall" of the teacher's exact list, "teacher_recall" of that list by the teacher's own
        index of this type, which is what the type itself loses; "overlap_ci95" by depth; "rank_correlation", the mean Spearman
        of the order of what both lists share (None where no query has two); "student" and "teacher": {"build_seconds",
        "search_ms" a query, "bytes"} of the index searched, all queries asked at once; by `indexes.clock`.

    Raises:
        MissingExtra: faiss is not installed.
        UserError: shapes do not fit, an unknown kind, or nothing to compare.
    """
    settings = settings or IndexSettings(seed=seed)
    _check(teacher, student, teacher_queries, student_queries, query_rows, owners)
    if normalize:
        teacher, student = unit(teacher), unit(student)
        teacher_queries = None if teacher_queries is None else unit(teacher_queries)
        student_queries = None if student_queries is None else unit(student_queries)
    count = len(teacher) if owners is None else int(owners.max()) + 1
    exclude = None
    if teacher_queries is None or student_queries is None:
        rows = np.arange(len(teacher)) if query_rows is None else np.asarray(query_rows)
        teacher_queries, student_queries = teacher[rows], student[rows]
        exclude = rows if owners is None else owners[rows]
    most = count - (exclude is not None)
    depths = sorted({min(depth, most) for depth in k})
    if not depths or depths[0] < 1 or not len(student_queries):
        raise UserError("there is nothing to compare", got=f"{count} documents, {len(student_queries)} queries, k {list(k)}")
    task = _Task(depths[-1], owners, exclude, settings)
    truth = task.find(teacher, teacher_queries, EXACT)[1].documents
    same_width = teacher.shape[1] == student.shape[1]
    found: list[dict[str, Any]] = []
    theirs: dict[str, _Found] = {}
    for kind in kinds:
        index, theirs[kind] = task.find(teacher, teacher_queries, kind)
        ours = {"symmetric": task.find(student, student_queries, kind)[1]}
        if same_width:
            ours["asymmetric"] = task.ask(index, student_queries)
        for mode, one in ours.items():
            found.append(_row(kind, mode, student.shape[1], one, theirs[kind], truth, depths, rounds, seed))
    for dim in widths(student.shape[1], dims)[1:]:
        documents, queries = (unit(side[:, :dim]) if normalize else side[:, :dim] for side in (student, student_queries))
        for kind in (kind for kind in SHORT if kind in kinds):
            one = task.find(documents, queries, kind)[1]
            found.append(_row(kind, "symmetric", dim, one, theirs[kind], truth, depths, rounds, seed))
    order = {"symmetric": 0, "asymmetric": 1}
    found.sort(key=lambda row: (order[row["mode"]], -row["dim"]))
    shown = {**asdict(settings), "normalize": normalize}
    return {"n": count, "queries": len(student_queries), "depths": depths, "settings": shown, "rows": found}


def _row(
    kind: str,
    mode: str,
    dim: int,
    ours: _Found,
    theirs: _Found,
    truth: np.ndarray,
    depths: Sequence[int],
    rounds: int,
    seed: int,
) -> dict[str, Any]:
    """The numbers of one search by the student."""
    queries = len(truth)
    shares = np.stack([shared(ours.documents, theirs.documents, depth) for depth in depths], axis=1)
    means = resampled_sums(shares, rounds=rounds, seed=seed) / queries

    def cost(side: _Found) -> dict[str, Any]:
        return {
            "build_seconds": side.build_seconds,
            "search_ms": 1000 * side.search_seconds / queries,
            "bytes": side.size,
        }

    def by_depth(lists: np.ndarray) -> dict[str, float]:
        return {str(depth): float(shared(lists, truth, depth).mean()) for depth in depths}

    correlations = shared_rank_correlation(ours.documents, theirs.documents)
    known = correlations[~np.isnan(correlations)]
    return {
        "kind": kind,
        "mode": mode,
        "dim": dim,
        "overlap": {str(depth): float(value) for depth, value in zip(depths, shares.mean(0), strict=True)},
        "overlap_ci95": {str(depth): list(percentile_interval(means[:, at])) for at, depth in enumerate(depths)},
        "recall": by_depth(ours.documents),
        "teacher_recall": by_depth(theirs.documents),
        "rank_correlation": float(known.mean()) if len(known) else None,
        "student": cost(ours),
        "teacher": cost(theirs),
    }


def shared(first: np.ndarray, second: np.ndarray, k: int) -> np.ndarray:
    """For each query the share of the first k documents that two lists have in common, float64 [q].

    Args:
        first, second: documents by rank [q, at least k], each once; -1 is none.
        k: depth; it divides, also where a list is shorter.
    """
    return np.asarray(_places(first[:, :k], second[:, :k])[1].sum(1) / k)


def shared_rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """For each query Spearman's correlation of the order in which two lists have what they share, float64 [q].

    Args:
        first, second: documents by rank [q, k], each once; -1 is none.

    Returns:
        nan where they share fewer than two.
    """
    places, there = _places(first, second)
    count = there.sum(1)
    ours = np.cumsum(there, axis=1)
    order = np.argsort(np.where(there, places, places.shape[1]), axis=1, kind="stable")
    theirs = np.argsort(order, axis=1, kind="stable") + 1
    gaps = (np.where(there, ours - theirs, 0).astype(np.float64) ** 2).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 1, 1 - 6 * gaps / (count * (count.astype(np.float64) ** 2 - 1)), np.nan)


def _places(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each document of the first list stands in the second [q, k], and whether it does [q, k]."""
    order = np.argsort(second, axis=1, kind="stable")
    ordered = np.take_along_axis(second, order, 1)
    step = int(max(first.max(initial=0), second.max(initial=0))) + 2
    lift = np.arange(len(first))[:, None] * step
    at = np.searchsorted((ordered + lift).ravel(), (first + lift).ravel()).reshape(first.shape)
    at = np.clip(at - np.arange(len(first))[:, None] * second.shape[1], 0, second.shape[1] - 1)
    there = (np.take_along_axis(ordered, at, 1) == first) & (first >= 0)
    return np.take_along_axis(order, at, 1), there


def _check(
    teacher: np.ndarray,
    student: np.ndarray,
    teacher_queries: np.ndarray | None,
    student_queries: np.ndarray | None,
    query_rows: np.ndarray | None,
    owners: np.ndarray | None,
) -> None:
    if teacher.ndim != 2 or student.ndim != 2 or len(teacher) != len(student):
        raise UserError(
            "teacher and student have no vectors of the same documents",
            got=f"teacher {list(teacher.shape)}, student {list(student.shape)}",
            expected="[n, d] of each",
        )
    if (teacher_queries is None) != (student_queries is None):
        raise UserError("queries of one model alone are given", expected="teacher_queries and student_queries, or neither")
    if teacher_queries is not None and student_queries is not None:
        if len(teacher_queries) != len(student_queries):
            raise UserError(
                "teacher and student have no vectors of the same queries",
                got=f"{len(teacher_queries)} and {len(student_queries)} queries",
            )
        for name, documents, queries in (("teacher", teacher, teacher_queries), ("student", student, student_queries)):
            if queries.ndim != 2 or queries.shape[1] != documents.shape[1]:
                raise UserError(
                    f"the {name}'s queries and documents have different widths",
                    got=f"queries {list(queries.shape)}",
                    expected=f"[q, {documents.shape[1]}]",
                )
        if query_rows is not None:
            raise UserError("query_rows chooses documents as queries, but queries are given", where="query_rows")
    if query_rows is not None and len(query_rows) and not 0 <= np.min(query_rows) <= np.max(query_rows) < len(teacher):
        raise UserError(
            "query_rows names a row that is not there", got=int(np.max(query_rows)), expected=f"0 to {len(teacher) - 1}"
        )
    if owners is not None and (len(owners) != len(teacher) or not len(owners)):
        raise UserError("owners must name a document for every row", got=len(owners), expected=str(len(teacher)))


def overlap_table(result: dict[str, Any]) -> str:
    """The rows of `retrieval_overlap` as a Markdown table.

    Args:
        result: what `retrieval_overlap` returned.
    """
    depths = [str(depth) for depth in result["depths"]]
    middle = depths[len(depths) // 2]
    head = ["index", "queries -> documents", "dims", *(f"overlap@{depth}" for depth in depths), f"95% CI @{middle}"]
    head += [f"recall@{middle}", f"teacher's own recall@{middle}", "rank corr.", "build s", "ms/query", "MB"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * 3 + " ---: |" * (len(head) - 3)]
    for row in result["rows"]:
        low, high = row["overlap_ci95"][middle]
        cost = row["student"]
        correlation = row["rank_correlation"]
        cells = [row["kind"], _WAYS[row["mode"]], str(row["dim"]), *(f"{row['overlap'][depth]:.3f}" for depth in depths)]
        cells += [f"{low:.3f}-{high:.3f}", f"{row['recall'][middle]:.3f}", f"{row['teacher_recall'][middle]:.3f}"]
        cells += ["-" if correlation is None else f"{correlation:.3f}", f"{cost['build_seconds']:.2f}"]
        cells += [f"{cost['search_ms']:.3f}", f"{cost['bytes'] / 1e6:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


_WAYS = {"symmetric": "student -> student", "asymmetric": "student -> teacher"}
