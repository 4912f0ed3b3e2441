"""Parses the YAML of settings and dataset files: keys and plain values, each key once.

Anchors (a few lines can expand to gigabytes), tags and deep nesting are rejected.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

DEEPEST = 20
"""Maximum levels of nesting; settings have three."""


class NotPlainYaml(ValueError):
    """The text is not plain YAML; the message has the position."""


class _Loader(yaml.SafeLoader):
    """Safe loader that rejects anchors, duplicate keys and deep nesting."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="an anchor or alias (& or *)", problem_mark=event.start_mark
            )
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.MarkedYAMLError(
                problem=f"more than {DEEPEST} levels", problem_mark=event.start_mark
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    times = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
    for key, _ in node.value:
        # YAML itself silently keeps the last.
        if isinstance(key, yaml.ScalarNode) and times[key.value] > 1:
            raise yaml.MarkedYAMLError(
                problem=f"the key {key.value!r} twice or more", problem_mark=key.start_mark
            )
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(text: str) -> Any:
    """Return the parsed text; raise NotPlainYaml."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" on line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise NotPlainYaml(f"expected YAML, got{line}: {problem}") from None
    # Errors of constructors: an invalid date, `!!int ''`, a thousand brackets.
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        problem = "too many levels" if isinstance(error, RecursionError) else str(error)
        raise NotPlainYaml(f"expected YAML, got: {problem}") from None
