"""The methods of a server's port, found by their descriptors: a new one needs no word here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, MethodDescriptor

import smidgen_service.server  # noqa: F401 - with it come the descriptors of all services
from smidgen_service.security.permissions import NOT_ALWAYS_SERVED, PERMISSIONS

_TAKES_AWAY = re.compile("/(Delete|Cancel|RepositoryModelUnload)")


@dataclass(frozen=True, slots=True)
class CalledMethod:
    """A method as its calls need to know it.

    Attributes:
        path: As HTTP/2 names it.
        request: Of one message.
        takes_stream: Whether the client may send several.
        is_always_served: Whether every server has it.
    """

    path: str
    request: Descriptor
    takes_stream: bool
    is_always_served: bool


def called_methods() -> list[CalledMethod]:
    """Returns all methods that a server may serve.

    The table of permissions has them all: a server with another one does not start. Those that
    take something away come last: until then the others can name it.

    Raises:
        KeyError: one that is always served has no descriptor.
    """
    found = []
    for path in PERMISSIONS:
        is_always_served = not path.startswith(NOT_ALWAYS_SERVED)
        try:
            method = _descriptor(path)
        except KeyError:
            if is_always_served:
                raise
            continue
        found.append(
            CalledMethod(path, method.input_type, method.client_streaming, is_always_served)
        )
    return sorted(found, key=lambda method: bool(_TAKES_AWAY.search(method.path)))


def _descriptor(path: str) -> MethodDescriptor:
    _, service, name = path.split("/")
    methods = descriptor_pool.Default().FindServiceByName(service).methods_by_name
    method: MethodDescriptor = methods[name]
    return method
