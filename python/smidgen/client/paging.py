"""Walks through the pages of list calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

import grpc

from smidgen.client.calls import Caller


class _Request(Protocol):
    page_token: str


class _Page(Protocol):
    next_page_token: str


Request = TypeVar("Request", bound=_Request)
Page = TypeVar("Page", bound=_Page)


def pages(
    caller: Caller, method: grpc.UnaryUnaryMultiCallable[Request, Page], request: Request
) -> Iterator[Page]:
    """Yields page after page, fetching each when it is asked for. Raises: RemoteError."""
    while True:
        page = caller.unary(method, request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
