"""Settings from a file of TOML, for what neither a flag nor the environment says."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource, SettingsError

MOST_BYTES = 1 << 20


class SettingsFile(PydanticBaseSettingsSource):
    """The file that the setting `settings_file` names, by a flag or in the environment."""

    def __call__(self) -> dict[str, Any]:
        """Returns its settings, by name.

        Raises:
            SettingsError: the file cannot be read, or is no TOML.
        """
        path = self.current_state.get("settings_file")
        return {} if path is None else _read(Path(path))

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Is not asked, as all values come at once."""
        raise NotImplementedError


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise SettingsError(f"settings_file: {path} has more than {MOST_BYTES} bytes")
        found = tomllib.loads(data.decode())
    except OSError as error:
        raise SettingsError(f"settings_file: cannot read {path} ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"settings_file: {path} is no TOML: {error}") from None
    if "settings_file" in found or "settings-file" in found:
        raise SettingsError(f"settings_file: {path} names another settings file; use one")
    for name in found:
        if "-" in name and name.replace("-", "_") in found:
            raise SettingsError(f"settings_file: {path} has {name} twice, with - and with _")
    return {name.replace("-", "_"): value for name, value in found.items()}
