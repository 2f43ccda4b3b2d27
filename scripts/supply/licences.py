#!/usr/bin/env python3
"""Does every package that the project needs name a licence under which it may be used and shipped along? Without a network.

    python scripts/supply/licences.py [--extra EXTRA ...]

Licences are told by the packages' own metadata. Permissive ones pass; a weak copyleft (MPL, LGPL) is listed, since it binds
those who ship changed copies; anything else and a package that names none ends with 1 until it is looked at and written
down in `LOOKED_AT`.
"""

from __future__ import annotations

import argparse
import re
import sys

from installed import EXTRAS, PROJECT, closure, licence

PERMISSIVE = re.compile(
    r"\b(MIT|MIT-0|MIT-CMU|BSD|BSD-[23]-Clause|0BSD|Apache|ISC|Unlicense|Zlib|HPND|CC0|Python Software Foundation|PSF|PSF-2\.0"
    r"|BSL-1\.0|Public Domain|CNRI-Python|Python-2\.0)\b",
    re.IGNORECASE,
)
WEAK = re.compile(r"\b(MPL|Mozilla|LGPL|Lesser General Public)", re.IGNORECASE)
STRONG = re.compile(r"(?<!L)(?<!Lesser )\b(A?GPL|(Affero )?General Public License)", re.IGNORECASE)
LOOKED_AT: dict[str, str] = {}
"""Package -> what its licence is, where its metadata does not say it in words that are known here."""


def judged(text: str) -> str:
    """`permissive`, `weak copyleft`, `strong copyleft`, `unknown` or `none`, for what a package calls its licence.

    Of several, joined by OR, the freest counts; joined by AND, the strictest.
    """
    if not text:
        return "none"
    if " OR " in text:
        return min((judged(part) for part in text.split(" OR ")), key=ORDER.index)
    if " AND " in text:
        return max((judged(part) for part in text.split(" AND ")), key=ORDER.index)
    if WEAK.search(text):
        return "weak copyleft"
    if STRONG.search(text):
        return "strong copyleft"
    return "permissive" if PERMISSIVE.search(text) else "unknown"


ORDER = ("permissive", "weak copyleft", "strong copyleft", "unknown", "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--extra", action="append", choices=EXTRAS, help="of the project; default: all that a user may want")
    asked = parser.parse_args()
    found, _, absent = closure(tuple(asked.extra or EXTRAS))
    rows = [(name, one.version, LOOKED_AT.get(name) or licence(one)) for name, one in found.items() if name != PROJECT]
    for name, version, text in rows:
        print(f"{judged(text):<16} {name} {version}: {text or 'names no licence'}")
    wrong = [name for name, _, text in rows if judged(text) not in ORDER[:2]]
    print(f"{len(rows)} packages, {len(rows) - len(wrong)} fit")
    if absent:
        print(f"not installed here, and so not looked at: {', '.join(absent)}", file=sys.stderr)
    if wrong:
        sys.exit(f"to be looked at: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
