"""YAML in and out of recipes: safe values only, no repeated key, no alias bomb, `3e-4` is a number."""

from __future__ import annotations

import re
from typing import Any

import yaml

from .errors import UserError

MAX_BYTES = 1_000_000
MAX_NODES = 10_000
"""Values in a recipe, counted after every alias is written out."""

_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_TIMESTAMP, _FLOAT_TAG = "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float"
_SCALARS = frozenset({"str", "int", "float", "bool", "null"})


_UNREADABLE = (yaml.YAMLError, ValueError, LookupError, ArithmeticError, AttributeError, TypeError)
"""What the library raises for a value that is not what its tag says (`!!bool perhaps`)."""

_BREAKS = re.compile("[\x85\u2028\u2029]")


class RecipeLoader(yaml.SafeLoader):
    """SafeLoader that reads `3e-4` as a number and a date as text."""


def _whole(loader: RecipeLoader, node: yaml.ScalarNode) -> int:
    """A whole number of 64 bits: Python's own have no end, and cannot always be printed."""
    value = loader.construct_yaml_int(node)
    if abs(value) >= 2**63:
        raise yaml.constructor.ConstructorError(None, None, "a whole number of more than 64 bits", node.start_mark)
    return int(value)


RecipeLoader.add_constructor("tag:yaml.org,2002:int", _whole)


class RecipeDumper(yaml.SafeDumper):
    """SafeDumper that quotes whatever `RecipeLoader` would not read back as text."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value out."""
        return True


def _text(dumper: RecipeDumper, value: str) -> yaml.ScalarNode:
    """Text with one of Unicode's line breaks is written in double quotes, where it is escaped: elsewhere YAML folds it."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if _BREAKS.search(value) else None)


RecipeDumper.add_representer(str, _text)

for _class in (RecipeLoader, RecipeDumper):
    _class.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_TIMESTAMP, _FLOAT_TAG)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    # After the integers, so that `12` stays one.
    _class.add_implicit_resolver(_FLOAT_TAG, re.compile(f"(?:{_FLOAT.pattern})$"), list("-+0123456789."))


def parse(text: str, where: str) -> Any:
    """The plain values (mappings, lists, text, numbers, booleans, None) of one YAML document.

    Args:
        text: the document.
        where: its file, for errors.

    Raises:
        UserError: it is no YAML, repeats a key, has a key that is not text, or is too large once aliases are written out.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise UserError("this recipe is too large", where=where, expected=f"at most {MAX_BYTES:,} bytes")
    try:
        loader = RecipeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check(node, where)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        place = where if error.problem_mark is None else f"{where}, line {error.problem_mark.line + 1}"
        reason = error.problem or error.context
        raise UserError(
            "this is not YAML as recipes use it", where=place, got=reason, hint="indent with spaces; quote text with ':' or '#'"
        ) from error
    except _UNREADABLE as error:
        raise UserError("this is not YAML as recipes use it", where=where, got=error) from error
    except RecursionError as error:
        raise UserError("this recipe is nested too deeply", where=where) from error


def parse_value(text: str, where: str) -> Any:
    """The value behind `=` of an override: a YAML scalar, or a list or mapping in `[...]` or `{...}`.

    Plain text stays as it is, also where YAML would see a comment or a mapping in it (`query: `, `notes #2.txt`).

    Raises:
        UserError: a list, a mapping, a quoted text or a number is malformed.
    """
    if text.lstrip()[:1] in ("[", "{", '"', "'"):
        return parse(text, where)
    loader = RecipeLoader("")
    try:
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))
        if tag.rsplit(":", 1)[-1] not in _SCALARS:
            return text
        return loader.construct_object(yaml.ScalarNode(tag, text))
    except _UNREADABLE as error:
        raise UserError("this value cannot be read", where=where, got=error) from error
    finally:
        loader.dispose()


def dump(value: Any) -> str:
    """`value` as YAML that `parse` reads back equal."""
    return yaml.dump(value, Dumper=RecipeDumper, sort_keys=False, allow_unicode=True, width=120)


def _check(root: yaml.Node, where: str) -> None:
    """Refuse repeated keys, keys that are not text, loops, and documents that aliases blow up."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        key = id(node)
        if key in open_nodes:
            raise UserError("an alias points to what holds it", where=f"{where}, line {node.start_mark.line + 1}")
        if key not in sizes:
            open_nodes.add(key)
            sizes[key] = 1 + sum(size(child) for child in _children(node, where))
            open_nodes.remove(key)
        return sizes[key]

    if size(root) > MAX_NODES:
        raise UserError(
            "this recipe is too large once its aliases are written out", where=where, expected=f"at most {MAX_NODES:,} values"
        )


def _children(node: yaml.Node, where: str) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if not isinstance(node, yaml.MappingNode):
        return []
    seen: set[str] = set()
    for key, _ in node.value:
        place = f"{where}, line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode) or key.tag.rsplit(":", 1)[-1] not in ("str", "merge"):
            raise UserError("a key must be text", where=place, got=key.value, hint="put it in quotes")
        if key.value in seen:
            raise UserError(f"the key '{key.value}' is there twice", where=place, hint="keep one of them")
        seen.add(key.value)
    return [child for _, child in node.value]
