"""A folder of objects at a URL, on whatever fsspec reaches: an object store, or a folder that machines share."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import Any

from distill.errors import MissingExtra, UserError, shorten

VARIABLE = "DISTILL_SIGNALS_URL"
"""The setting that names the place, such as s3://bucket/prefix."""

WITHOUT_FOLDERS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "tos", "memory"})
"""Protocols where a name with slashes needs no folder; making one could make a bucket."""


def signals_url() -> str | None:
    """`$DISTILL_SIGNALS_URL`; None where it is not set."""
    return os.environ.get(VARIABLE, "").strip().rstrip("/") or None


def check_url(url: str) -> None:
    """Write an object at a URL, list it, read it and remove it.

    Raises:
        UserError: the URL has a form, a protocol or a driver that is not known, its place cannot be reached, or permission for
            one of these is lacking.
    """
    place, name = Remote(url), f"probe-{secrets.token_hex(8)}"
    try:
        place.write(name, b"distill")
        whole = place.read(name) == b"distill" and name in place.names()
        place.remove(name)
    except PermissionError as error:
        raise UserError(
            "no permission there",
            where=f"{VARIABLE}={shorten(url)}",
            got=shorten(error),
            expected="credentials that may list, read, write and remove objects",
        ) from error
    except Exception as error:
        raise UserError(
            "this place cannot be reached",
            where=f"{VARIABLE}={shorten(url)}",
            got=shorten(f"{type(error).__name__}: {error}"),
            hint=f"look at the address, the network and the credentials; unset {VARIABLE} to work without it",
        ) from error
    if not whole:
        raise UserError(
            "what is written there is not there when it is read",
            where=f"{VARIABLE}={shorten(url)}",
            expected="a place that keeps",
        )


class Remote:
    """Objects of one folder. What the library below raises is passed on.

    Args:
        url: of the folder.

    Raises:
        UserError: the URL has a form, a protocol or a driver that is not known.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        where = f"{VARIABLE}={shorten(url)}"
        if "://" not in url or "::" in url:
            raise UserError("this is no URL of a folder", where=where, expected="such as s3://bucket/prefix or file:///folder")
        try:
            from fsspec.core import url_to_fs
            from fsspec.implementations.local import LocalFileSystem
        except ImportError as error:
            raise MissingExtra("train", "fsspec", VARIABLE) from error
        try:
            self._files, path = url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            raise UserError(
                "the driver of this protocol is not installed", where=where, got=url.partition(":")[0], hint=shorten(error)
            ) from error
        except Exception as error:
            raise UserError("this URL cannot be used", where=where, got=shorten(error)) from error
        self._local = isinstance(self._files, LocalFileSystem)
        self._folders = url.partition(":")[0] not in WITHOUT_FOLDERS
        self._root = path.rstrip("/")

    def names(self, folder: str = "") -> list[str]:
        """Names of the objects in a folder, sorted; none where there is no such folder."""
        self._files.invalidate_cache()
        try:
            found = self._files.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def read(self, name: str) -> bytes | None:
        """The bytes of an object; None where there is none."""
        try:
            data: bytes = self._files.cat_file(self._path(name))
            return data
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Put an object there, in place of one that is there: whole, where the place can do that."""
        path = self._path(name)
        self._make_folder(path)
        if not self._local:
            self._files.pipe_file(path, data)
            return
        beside = f"{path}.tmp-{secrets.token_hex(8)}"
        try:
            self._files.pipe_file(beside, data)
            self._files.mv(beside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                self._files.rm_file(beside)
            raise

    def create(self, name: str, data: bytes) -> bool:
        """Put an object there unless there is one. Whether it is this one that is there now.

        Only one of several that try at the same time hears True, where the place can do that (S3, GCS, Azure, local disks).
        Elsewhere two of them may.
        """
        path = self._path(name)
        self._make_folder(path)
        try:
            if self._local:
                with self._files.open(path, "xb") as stream:
                    stream.write(data)
            else:
                self._create(path, data)
        except FileExistsError:
            return False
        except Exception:
            if self.read(name) is not None:  # some say in their own words that there is one
                return False
            raise
        return self.read(name) == data

    def _create(self, path: str, data: bytes) -> None:
        try:
            self._files.pipe_file(path, data, mode="create")
        except (TypeError, ValueError, NotImplementedError) as error:  # it does not know this mode
            if self._files.exists(path):
                raise FileExistsError(path) from error
            self._files.pipe_file(path, data)

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def _make_folder(self, path: str) -> None:
        if self._folders:
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)

    def _path(self, name: str) -> Any:
        return f"{self._root}/{name}" if name else self._root
