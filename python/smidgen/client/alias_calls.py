"""Calls about aliases of versions."""

from __future__ import annotations

from collections.abc import Iterator

from smidgen.client import requests
from smidgen.client.connection import Connection
from smidgen.client.names import (
    alias_name,
    model_name,
    version_name,
)
from smidgen.client.paging import pages
from smidgen.client.requests import new_request_id
from smidgen.v1 import model_service_pb2 as models_pb


def _expected(model: str, version: int | None) -> str:
    return "" if version is None else version_name(model, version)


class AliasCalls(Connection):
    """Points names of models at versions."""

    def set_alias(
        self,
        model: str,
        alias: str,
        version: int | str,
        *,
        expected_version: int | None = None,
        etag: str = "",
        max_drop: float | None = None,
        validate_only: bool = False,
    ) -> models_pb.Alias:
        """Makes an alias, or moves it from where it is expected, and returns it.

        Args:
            model: The model.
            alias: The alias; lower-case letters, digits and inner hyphens, a letter first.
            version: Where it shall point: a version, or another alias of the model.
            expected_version: The version that it points at now. An alias that there is already
                stays where it is without this or etag.
            etag: What the alias showed when it was read, instead.
            max_drop: Most accuracy that the version may lose by its report, 0 to 1.
            validate_only: Whether to check only, and return the alias as it would be.

        Raises: RemoteError, with reason ALIAS_MOVED if it is somewhere else.
        """
        return self._caller.unary(
            self._models.SetAlias,
            requests.set_alias_request(
                alias_name(model, alias),
                version_name(model, version),
                expected_version=_expected(model, expected_version),
                etag=etag,
                max_drop=max_drop,
                validate_only=validate_only,
            ),
        )

    def rollback_alias(
        self,
        model: str,
        alias: str,
        *,
        expected_version: int | None = None,
        etag: str = "",
        validate_only: bool = False,
    ) -> models_pb.Alias:
        """Undoes the last move of an alias that was not undone yet, and returns the alias.

        Without expected_version and etag it is read first, and moved unless others do meanwhile.

        Raises: RemoteError, with reason ALIAS_MOVED if it is somewhere else.
        """
        if expected_version is None and not etag:
            etag = self.get_alias(model, alias).etag
        request = models_pb.RollbackAliasRequest(
            name=alias_name(model, alias),
            expected_version=_expected(model, expected_version),
            etag=etag,
            request_id=new_request_id(),
            validate_only=validate_only,
        )
        return self._caller.unary(self._models.RollbackAlias, request)

    def get_alias(self, model: str, alias: str) -> models_pb.Alias:
        """Returns an alias with its newest moves."""
        request = models_pb.GetAliasRequest(name=alias_name(model, alias))
        return self._caller.unary(self._models.GetAlias, request)

    def list_aliases(self, model: str) -> Iterator[models_pb.Alias]:
        """Yields a model's aliases, newest first."""
        request = models_pb.ListAliasesRequest(parent=model_name(model))
        for page in pages(self._caller, self._models.ListAliases, request):
            yield from page.aliases

    def delete_alias(
        self,
        model: str,
        alias: str,
        *,
        expected_version: int | None = None,
        etag: str = "",
        validate_only: bool = False,
    ) -> None:
        """Deletes an alias, wherever it points unless something is expected; the version stays."""
        request = models_pb.DeleteAliasRequest(
            name=alias_name(model, alias),
            expected_version=_expected(model, expected_version),
            etag=etag,
            request_id=new_request_id(),
            validate_only=validate_only,
        )
        self._caller.unary(self._models.DeleteAlias, request)
