"""What every test gets: no network, one thread, a cache of its own."""

from __future__ import annotations

import os

# Before torch, tokenizers or huggingface_hub are imported by a test; processes that a test starts inherit them.
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", NO_COLOR="1")
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import pytest  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Teacher outputs of tests never meet those of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _loud_again():
    """A command run with --quiet inside a test does not silence the next test."""
    from distill.progress import set_quiet

    set_quiet(False)
