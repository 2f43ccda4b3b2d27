"""Parallel text: rows of a text and its translation, out of tables, Moses pairs, TMX and PO files, and into them."""

from .read import check_parallel, read_parallel
from .rows import ParallelRow
from .write import write_parallel

__all__ = ["ParallelRow", "check_parallel", "read_parallel", "write_parallel"]
