"""`distill push`: a student, its card and the report of its run to the hub. Nothing leaves this machine unless it is asked to."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import DistillError, GateError, MissingExtra, RunError, UserError, shorten
from .files import expand
from .report.model import build_report
from .sealing import REPORTS
from .verifying import changed_files

if TYPE_CHECKING:
    from huggingface_hub import HfApi

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
UNSAFE = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"})
"""Endings of files that may hold code: no part of a student."""
NAMED = 10
"""Changed files that an error names; `distill verify` names all."""


@dataclass(frozen=True)
class PushFile:
    """A file to upload.

    Attributes:
        path: on this machine.
        name: in the repository.
        size: in bytes.
    """

    path: Path
    name: str
    size: int


@dataclass(frozen=True)
class Push:
    """What was uploaded, or would be.

    Attributes:
        repo_id: owner/name.
        files: in the order of their names.
        public: whether everyone may read the repository.
        url: of the commit; None of a dry run.
    """

    repo_id: str
    files: tuple[PushFile, ...]
    public: bool
    url: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def push_run(
    run: str | Path,
    repo_id: str,
    *,
    upload: bool = False,
    public: bool = False,
    even_if_gates_failed: bool = False,
    message: str | None = None,
) -> Push:
    """Upload a run's student folder, with its card at the top, and its report to a model repository of the hub.

    What is uploaded is what the run made and proved: a file that was changed, lost or added since is refused, as `verify_run`
    tells it.

    The token is the hub client's own (`hf auth login`, or HF_TOKEN); it is never read, shown or logged here.

    Args:
        run: a finished run folder.
        repo_id: owner/name; the repository is made where it is not there.
        upload: False only looks what would be uploaded: nothing is sent.
        public: whether everyone may read a new repository. False refuses one that is there and public.
        even_if_gates_failed: upload although an exported file failed its parity gate.
        message: of the commit.

    Returns:
        The files, and where they are now.

    Raises:
        GateError: an exported file failed its gate or was never checked.
        RunError: the run is not finished, damaged, or its files changed since.
        UserError: the name is no hub id, or the hub refuses.
    """
    if not REPO_ID.fullmatch(repo_id) or ".." in repo_id or "--" in repo_id:
        raise UserError("this is no repository of the hub", got=repo_id, expected="owner/name")
    place = expand(run)
    files = _files(place, even_if_gates_failed)
    planned = Push(repo_id, files, public)
    if not upload:
        return planned
    return Push(repo_id, files, public, _upload(planned, message))


def _files(run: Path, even_if_gates_failed: bool) -> tuple[PushFile, ...]:
    """Everything to upload, checked."""
    changed = changed_files(run)
    if changed:
        more = f", and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        raise RunError(
            f"this run is not what it was when it ended: {shorten(', '.join(changed[:NAMED]), 2000)}{more}",
            where=str(run),
            hint="take out what is not the run's and run its recipe again, which makes anew what is missing or damaged",
        )
    report = build_report(run)
    failed = [gate.model for gate in report.gates if not gate.passed]
    if (failed or not report.gates) and not even_if_gates_failed:
        raise GateError(
            f"{', '.join(failed)} failed the parity gate" if failed else "no exported file was checked for parity",
            where=str(run),
            hint="see parity.json; --even-if-gates-failed uploads it nevertheless",
        )
    student = run / "student"
    found = [_checked(path, student) for path in sorted(student.rglob("*")) if path.is_file() and not _hidden(path, student)]
    reports = [PushFile(run / name, f"report/{name}", (run / name).stat().st_size) for name in REPORTS if (run / name).is_file()]
    return tuple(sorted([*found, *reports], key=lambda file: file.name))


def _hidden(path: Path, student: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(student).parts)


def _checked(path: Path, student: Path) -> PushFile:
    name = path.relative_to(student).as_posix()
    if path.suffix.lower() in UNSAFE:
        hint = "take it out of the folder: a student is safetensors and ONNX"
        raise RunError("this file is no part of a student", where=str(path), hint=hint)
    if path.is_symlink() and not path.resolve().is_relative_to(student.resolve()):
        raise RunError("this file is a link that leads out of the student's folder", where=str(path), got=path.resolve())
    return PushFile(path, name, path.stat().st_size)


def _upload(planned: Push, message: str | None) -> str:
    """One commit with every file; its address."""
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
        from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled
    except ImportError as error:
        raise MissingExtra("train", "huggingface_hub", "distill push") from error
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        _repository(api, planned)
        operations = [CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=str(file.path)) for file in planned.files]
        words = message or "Distilled student, ONNX files and report"
        commit = api.create_commit(planned.repo_id, operations, commit_message=words)
        return str(commit.commit_url)
    except DistillError:
        raise
    except OfflineModeIsEnabled:
        hint = "unset HF_HUB_OFFLINE"
        raise UserError("the hub cannot be reached: this machine is set to stay offline", hint=hint) from None
    except LocalTokenNotFoundError:
        raise UserError("the hub wants a token", where=planned.repo_id, hint="hf auth login") from None
    except HfHubHTTPError as error:
        raise _refusal(planned.repo_id, error) from None
    except Exception as error:  # the client's own kinds of failure: no network, a card that it refuses
        raise UserError("the upload failed", where=planned.repo_id, got=shorten(error, 400)) from None


def _repository(api: HfApi, planned: Push) -> None:
    """Make the repository where it is not there; one that everyone may read is not taken for a private one."""
    api.create_repo(planned.repo_id, private=not planned.public, exist_ok=True)
    if not planned.public and not api.repo_info(planned.repo_id).private:
        raise UserError(
            "this repository is there already and everyone may read it",
            where=planned.repo_id,
            hint="--public if that is meant, or another name",
        )


def _refusal(repo_id: str, error: Any) -> DistillError:
    status = getattr(error.response, "status_code", None)
    hints = {
        401: "hf auth login, with a token that may write",
        403: "a token that may write to this owner's repositories",
        404: "does this owner exist?",
    }
    return UserError(
        "the hub refuses", where=repo_id, got=shorten(error, 400), hint=hints.get(status or 0, "the message is the hub's own")
    )
