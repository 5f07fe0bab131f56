"""The user's own settings file, changed one setting at a time; comments and order stay."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imageworks.config.declarations import setting_specs
from imageworks.config.values import checked, from_text
from imageworks.errors import ConfigError, ImageworksError
from imageworks.files import whole_file
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tomlkit import TOMLDocument

_OWNER_ONLY = 0o600


def value_of_text(name: str, text: str) -> Any:  # noqa: ANN401  # of the declared kind
    """What a person typed, as the setting's value.

    Raises:
        ConfigError: It is not a value of this setting; says which are.
    """
    return checked(name, setting_specs()[name], text.strip(), from_text, "this field")


def text_of_value(value: object) -> str:
    """A value as a person would type it; empty for none."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case tuple():
            separator = ":" if value and isinstance(value[0], Path) else ", "
            return separator.join(str(item) for item in value)
        case dict():
            return ", ".join(f"{key}={item}" for key, item in value.items())
        case float():
            return f"{value:g}"
        case _:
            return str(value)


class UserSettingsFile:
    """The user's settings file. It need not exist yet.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, name: str, value: object) -> None:
        """Writes one setting; the file is there whole or as it was.

        Raises:
            ConfigError: The file is not valid TOML.
            StoreError: The file cannot be written.
        """
        document = self._read()
        document[name.replace("_", "-") if name.replace("_", "-") in document else name] = _plain(
            value
        )
        self._write(document)

    @contextlib.contextmanager
    def unless_refused(self) -> Iterator[None]:
        """Gives the file its earlier text back when what follows a change refuses it.

        Raises:
            StoreError: The file cannot be written.
        """
        before = self.path.read_text("utf-8") if self.path.exists() else None
        try:
            yield
        except ImageworksError:
            if before is None:
                self.path.unlink(missing_ok=True)
            else:
                with whole_file(self.path) as stream:
                    stream.write(before)
            raise

    def remove(self, name: str) -> None:
        """Takes one setting out, so that its default counts again.

        Raises:
            ConfigError: The file is not valid TOML.
            StoreError: The file cannot be written.
        """
        document = self._read()
        written = {name, name.replace("_", "-")} & set(document)
        for key in written:
            document.remove(key)
        if written:
            self._write(document)

    def _read(self) -> TOMLDocument:
        import tomlkit  # noqa: PLC0415  # 50 ms that a first frame need not wait for
        from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415

        try:
            return tomlkit.parse(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return tomlkit.document()
        except (OSError, UnicodeDecodeError, TOMLKitError) as error:
            message = f"{show_path(self.path)} cannot be read: {one_line(str(error))}."
            raise ConfigError(message, hint="mend the file first.") from error

    def _write(self, document: TOMLDocument) -> None:
        import tomlkit  # noqa: PLC0415  # as above

        is_new = not self.path.exists()
        with whole_file(self.path) as stream:
            stream.write(tomlkit.dumps(document))
        if is_new:
            self.path.chmod(_OWNER_ONLY)  # it may hold a server's key one day


def _plain(value: object) -> Any:  # noqa: ANN401  # what TOML knows
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
