"""Walk the parsed tree of an R data file, where its objects are of classes unknown to Python.

``rdata.parser.parse_file`` gives the tree. Nothing of it is run: functions and promises stay
nodes that nobody visits.
"""

from __future__ import annotations

from typing import Any


def pairs(node: Any) -> dict[str, Any]:
    """Tagged items of an R pairlist: the objects of a file, the attributes of an object."""
    items: dict[str, Any] = {}
    while node is not None and isinstance(node.value, tuple):
        # A name that the file has used before is a reference to its first use.
        symbol = node.tag.referenced_object or node.tag
        items[symbol.value.value.decode()] = node.value[0]
        node = node.value[1]
    return items


def attributes(node: Any) -> dict[str, Any]:
    """Attributes or slots of an R object."""
    return pairs(node.attributes)


def named(node: Any) -> dict[str, Any]:
    """Items of an R list by name."""
    return dict(zip(strings(attributes(node)["names"]), node.value, strict=True))


def strings(node: Any) -> list[str]:
    """Strings of an R character vector."""
    return [item.value.decode() for item in node.value]
