"""Markup is escaped wherever text comes from outside."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from smidgen.html_report.markup import Markup, document, join, tag


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


_TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")))


@given(_TEXTS, _TEXTS)
def test_text_and_attributes_come_back_as_they_were(text: str, value: str) -> None:
    reader = _Reader()
    reader.feed(tag("p", text, title=value))
    reader.close()
    assert reader.tags == ["p"]
    assert reader.attributes == [("title", value)]
    assert reader.text == text


def test_markup_is_not_escaped_again() -> None:
    assert tag("p", tag("b", "<")) == "<p><b>&lt;</b></p>"


def test_names_of_attributes_and_what_is_none() -> None:
    written = tag("g", class_="x", stroke_width=1.5, title=None)
    assert written == '<g class="x" stroke-width="1.5"></g>'


def test_coordinates_are_short() -> None:
    assert tag("line", x1=1 / 3, x2=2.0) == '<line x1="0.33" x2="2"/>'


def test_contents_may_be_nested_lists() -> None:
    assert join(["a", None, [tag("i"), "b"]]) == "a<i></i>b"


def test_a_title_cannot_end_the_head() -> None:
    page = document("</title><script>", Markup(""), "x")
    assert "<script>" not in page
    assert "&lt;/title&gt;&lt;script&gt;" in page
