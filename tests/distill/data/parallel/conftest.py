"""`read(path, ...)` gives the pairs of texts in a file, `problem(path, ...)` what reading and checking it say."""

from collections import Counter

import pytest

from distill.data.parallel import check_parallel, read_parallel
from distill.errors import UserError
from distill.recipe_data import ParallelSpec


def spec_of(path, options):
    options = {"languages": ("en", "ko"), **options}
    if "target" in options:
        options["target"] = str(options["target"])
    return ParallelSpec(source=str(path), **options)


@pytest.fixture
def read():
    """Pairs of texts; `counts` takes a Counter."""

    def run(path, on_bad_row="error", counts=None, **options):
        rows = read_parallel(spec_of(path, options), on_bad_row=on_bad_row, counts=Counter() if counts is None else counts)
        return [(row.source, row.translation) for row in rows]

    return run


@pytest.fixture
def check():
    """The problems that a check before a run tells."""

    def run(path, on_bad_row="error", **options):
        return check_parallel(spec_of(path, options), on_bad_row=on_bad_row)

    return run


@pytest.fixture
def problem(read, check):
    """The message of the mistake in a file, which a check tells as well; `counts` is untouched by it."""

    def run(path, checked=True, on_bad_row="error", **options):
        with pytest.raises(UserError) as caught:
            read(path, on_bad_row, **options)
        assert caught.value.exit_code == 2
        told = [str(found) for found in check(path, on_bad_row, **options)]
        assert told == ([str(caught.value)] if checked else [])
        return str(caught.value)

    return run
