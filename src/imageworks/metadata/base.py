"""What every metadata writer can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imageworks.metadata.explain import Explanation
    from imageworks.models import ExistingMetadata
    from imageworks.stages import WriteOutcome, WriteRequest


class MetadataWriter(Protocol):
    """Reads what a photograph says about itself and writes what a person accepted."""

    def read(self, path: Path) -> ExistingMetadata:
        """What the file and its sidecars say now.

        Raises:
            MetadataError: The file cannot be read or is not an image.
        """
        ...

    def explain(self, path: Path) -> Explanation:
        """What is in a file and where a write would go; nothing is written.

        Raises:
            MetadataError: The file cannot be read or is not an image.
        """
        ...

    def write(
        self, request: WriteRequest, announce: Callable[[WriteOutcome], None] = ...
    ) -> WriteOutcome:
        """Writes the accepted fields, or proves that nothing has to change.

        Args:
            request: What was accepted.
            announce: Told what is about to be written, before it is.

        Raises:
            MetadataError: Nothing was written; ``reason`` is a short stable word.
        """
        ...
