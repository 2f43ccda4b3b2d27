"""What a recipe says for the student's model card: licence, languages, data sets, intended use. Imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from .data.languages import check_language
from .errors import nearest
from .recipe_base import Schema

# fmt: off
LICENSES = frozenset({
    "afl-3.0", "agpl-3.0", "apache-2.0", "apple-amlr", "apple-ascl", "artistic-2.0", "bigcode-openrail-m",
    "bigscience-bloom-rail-1.0", "bigscience-openrail-m", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear",
    "bsl-1.0", "c-uda", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0",
    "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0",
    "cdla-sharing-1.0", "creativeml-openrail-m", "deepfloyd-if-license", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0",
    "eupl-1.1", "eupl-1.2", "fair-noncommercial-research-license", "gemma", "gfdl", "gpl", "gpl-2.0", "gpl-3.0",
    "grok2-community", "h-research", "intel-research", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "lgpl-lr", "llama2",
    "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "lppl-1.3c", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl",
    "odc-by", "ofl-1.1", "openmdw-1.0", "openrail", "openrail++", "osl-3.0", "other", "pddl", "postgresql", "unknown",
    "unlicense", "wtfpl", "zlib",
})
# fmt: on
"""The identifiers that the hub knows; `other` is named by license_name and license_link."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,63}")
Words = Annotated[str, Field(min_length=1, max_length=4000)]


class CardSpec(Schema):
    """Parts of the model card that only the maker knows. Nothing of the student depends on it.

    Attributes:
        license: an identifier that the hub knows (apache-2.0, mit, cc-by-4.0, ...), or other; None takes the teacher's.
        license_name, license_link: of a licence that is `other`; the link is an https address.
        language: codes of ISO 639 (en, ko, pt-BR), one or a list; empty takes what is known of the teacher or the text.
        datasets: hub ids of the training data, besides those that data.train names.
        tags: more tags for the hub.
        intended_use: what the model is for, in Markdown-free prose.
        limits: what it is not for, and what is known to go wrong.
        training_data: where the text came from, what it holds, and under which terms.
    """

    license: str | None = None
    license_name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    license_link: str | None = None
    language: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    intended_use: Words | None = None
    limits: Words | None = None
    training_data: Words | None = None

    @field_validator("language", "datasets", "tags", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("license")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in LICENSES:
            hint = nearest(value.lower(), LICENSES) or "name it with license: other, license_name and license_link"
            raise ValueError(f"'{value}' is no licence that the hub knows; {hint}")
        return value

    @field_validator("license_link")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https://[^\s<>\"']{1,500}", value):
            raise ValueError(f"'{value}' is no https address")
        return value

    @field_validator("language")
    @classmethod
    def _languages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        problems = [problem for tag in value for problem in check_language(tag)]
        if problems:
            first = problems[0]
            raise ValueError(f"{first.message}: '{first.got}'" + (f"; {first.hint}" if first.hint else ""))
        return value

    @field_validator("datasets")
    @classmethod
    def _hub_ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in value if not _HUB_ID.fullmatch(name)]
        if wrong:
            raise ValueError(f"'{wrong[0]}' is no data set of the hub: owner/name")
        return value

    @field_validator("tags")
    @classmethod
    def _tags(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [tag for tag in value if not _TAG.fullmatch(tag)]
        if wrong:
            raise ValueError(f"'{wrong[0]}' is no tag: letters, digits, hyphens, at most 64")
        return value

    @model_validator(mode="after")
    def _named(self) -> CardSpec:
        if self.license == "other" and not self.license_name:
            raise ValueError("license: other needs a license_name")
        if self.license != "other" and (self.license_name or self.license_link):
            raise ValueError("license_name and license_link belong to license: other")
        return self
