"""HTML and SVG that is well-formed and escaped by how it is made."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta", "line", "rect", "path", "circle", "polyline"})


class Markup(str):
    """Text that is markup already. Only this module makes it from strings."""

    __slots__ = ()


Child = str | Markup | None | Iterable["str | Markup | None"]


def tag(name: str, *children: Child, **attributes: str | float | None) -> Markup:
    """Makes an element.

    Args:
        name: The element's name.
        children: Its contents: text, which is escaped, and markup, which is not.
        attributes: By name, without those that are None; `class_` is `class`, and an underscore
            inside a name is a hyphen.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Puts contents one after the other."""
    return Markup("".join(_written(child) for child in children))


def style_sheet(css: str) -> Markup:
    """Embeds a style sheet of this package, in which nothing is escaped."""
    return Markup(f"<style>{css}</style>")


def document(title: str, head: Markup, *body: Child) -> str:
    """Makes a whole page."""
    opening = join(
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        head,
    )
    page = tag("html", tag("head", opening), tag("body", tag("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return escape(child)
    return "".join(_written(each) for each in child)


def _text(value: str | float) -> str:
    """Coordinates get two digits behind the point, which is less than a screen shows."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
