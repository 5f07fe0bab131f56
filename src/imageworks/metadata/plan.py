"""What a write would do, worked out and proven in memory before a byte is written."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata import exiv2, fields, merge, proof, values
from imageworks.metadata.containers import container_of, require_container
from imageworks.metadata.packet import XmpPacket
from imageworks.metadata.photo import Photo, Sidecar, load_photo, picture_id
from imageworks.metadata.refusal import refusal
from imageworks.metadata.replace import check_folder, check_replaceable
from imageworks.metadata.source import Source
from imageworks.metadata.splice import Splice
from imageworks.models import ExistingMetadata, WriteRequest
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from imageworks.config import PersonalTaggerConfig
    from imageworks.metadata.sidecar import SidecarNames
    from imageworks.metadata.values import FieldValues

_EXPECTED_OBSTACLE = "format"
_IPTC_TWINS = tuple(f"Iptc.Application2.{name}" for name in ("Keywords", "Caption", "ObjectName"))
_EXIF_TWIN = "Exif.Image.ImageDescription"
# What cameras put there by themselves counts as empty (MWG Guidelines 2.0, 5.3).
_CAMERA_FILLER = re.compile(r"|.*(camera|dsc|dcim|exif.jpeg).*", re.IGNORECASE | re.DOTALL)
_FATAL = frozenset({"exiv2-missing", "changed-meanwhile", "disk-error"})


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file's new bytes.

    Attributes:
        path: The file.
        source: What it was; None for a new file.
        data: Its new bytes, proven.
        splices: The edits that lead from the old bytes to the new ones.
        is_image: The image itself, not a sidecar.
    """

    path: Path
    source: Source | None
    data: bytes
    splices: tuple[Splice, ...]
    is_image: bool


@dataclass(frozen=True, slots=True)
class WritePlan:
    """What a write does: every change, the image first, and what to tell the person."""

    photo: Photo
    before: ExistingMetadata
    changes: tuple[FileChange, ...]
    notes: tuple[str, ...]


class Planner:
    """Works out writes.

    Args:
        config: How to merge and where to write.
        clock: The present moment with its time zone.
        names: Finds and names sidecars.
    """

    def __init__(
        self, config: PersonalTaggerConfig, clock: Callable[[], datetime], names: SidecarNames
    ) -> None:
        self._config = config
        self._mapping = fields.field_mapping(config.fields)
        self._clock = clock
        self._names = names

    def load(self, path: Path) -> Photo:
        """The photograph with its sidecars; see `load_photo`."""
        real = Path(os.path.realpath(path))
        return load_photo(path, self._names.existing(real), self._mapping)

    def plan(self, request: WriteRequest, *, obstacle: MetadataError | None = None) -> WritePlan:
        """The changes that a request needs; none when everything is already there.

        Args:
            request: What was accepted.
            obstacle: Why the image itself cannot be written, as an earlier try has shown.

        Raises:
            MetadataError: It cannot be done without harm; nothing was written.
        """
        photo = self.load(request.path)
        if request.expected_content_id not in {"", picture_id(photo)}:
            message = f"{show_path(request.path)} is no longer the picture that was reviewed."
            raise MetadataError(message, hint="review it again.", reason="picture-changed")
        wanted = self._wanted(photo, request)
        notes: list[str] = []
        image = self._image_change(photo, wanted, obstacle, notes)
        sidecars = self._sidecar_changes(photo, wanted, notes, needs_one=image is None)
        changes = [change for change in (image, *sidecars) if change and change.splices]
        if image in changes:
            notes += _remarks(photo, wanted)
        before = values.existing_metadata(
            photo.values, identity=photo.source.sha256, source=photo.where
        )
        return WritePlan(photo, before, tuple(changes), tuple(notes) if changes else ())

    def _wanted(self, photo: Photo, request: WriteRequest) -> FieldValues:
        try:
            merge.check_tags(
                request.tags,
                photo.values.keywords,
                is_overwrite=self._config.overwrite_metadata,
            )
        except MetadataError as error:
            raise _named(request.path, error) from error
        return values.desired_values(photo.values, request, self._mapping, self._config)

    def _image_change(
        self,
        photo: Photo,
        wanted: FieldValues,
        obstacle: MetadataError | None,
        notes: list[str],
    ) -> FileChange | None:
        """The image's change, without splices when it already says everything.

        None when a sidecar has to take it; the notes then say why.
        """
        if self._config.sidecar == "always":
            return None
        obstacle = obstacle or photo.embedded.obstacle
        if obstacle is None:
            try:
                return self._embed(photo, wanted)
            except MetadataError as error:
                if error.reason in _FATAL:
                    raise _named(photo.source.path, error) from error
                obstacle = error
        if self._config.sidecar == "never":
            raise _named(photo.source.path, obstacle) from obstacle
        if obstacle.reason != _EXPECTED_OBSTACLE or container_of(photo.format) is not None:
            notes.append(f"Written beside the file: {obstacle.message}.")
        return None

    def _embed(self, photo: Photo, wanted: FieldValues) -> FileChange:
        source = photo.source
        raw = photo.embedded.raw
        packet = XmpPacket.parse(raw) if photo.embedded.packet else XmpPacket.new()
        if not values.apply_values(packet, wanted, self._mapping, self._now()):
            return FileChange(source.path, source, source.data, (), is_image=True)
        check_replaceable(source)
        container = require_container(photo.format)
        splices = container.put_packet(source.data, packet.serialise())
        data = proof.prove_image(source.data, splices, photo.format, wanted, self._mapping)
        return FileChange(source.path, source, data, splices, is_image=True)

    def _sidecar_changes(
        self, photo: Photo, wanted: FieldValues, notes: list[str], *, needs_one: bool
    ) -> list[FileChange]:
        if self._config.sidecar == "never":
            notes += [
                f"{show_path(sidecar.path.name)} beside it was left as it is."
                for sidecar in photo.sidecars
            ]
            return []
        try:
            if photo.sidecars:
                return [self._renewed(sidecar, wanted) for sidecar in photo.sidecars]
            if needs_one and wanted != photo.values:
                return [self._create(photo, wanted)]
        except MetadataError as error:
            raise _named(photo.source.path, error) from error
        return []

    def _renewed(self, sidecar: Sidecar, wanted: FieldValues) -> FileChange:
        try:
            if sidecar.source is None:
                raise sidecar.fault or refusal(reason="unreadable", because="it cannot be read")
            return self._update(sidecar.source, wanted)
        except MetadataError as error:
            message = f"its sidecar {show_path(sidecar.path.name)} stays as it is: "
            message += error.message
            reason = "sidecar-malformed" if error is sidecar.fault else error.reason
            hint = error.hint or "mend the sidecar or move it away."
            raise MetadataError(message, hint=hint, reason=reason) from error

    def _update(self, source: Source, wanted: FieldValues) -> FileChange:
        packet = XmpPacket.parse(source.data)
        if not values.apply_values(packet, wanted, self._mapping, self._now()):
            return FileChange(source.path, source, source.data, (), is_image=False)
        check_replaceable(source)
        data = packet.serialise()
        proof.prove_sidecar(source.data, data, wanted, self._mapping)
        whole = Splice(0, len(source.data), data)
        return FileChange(source.path, source, data, (whole,), is_image=False)

    def _create(self, photo: Photo, wanted: FieldValues) -> FileChange:
        path = self._names.new(photo.source.path)
        check_folder(path.parent)
        packet = XmpPacket.new()
        values.apply_values(packet, wanted, self._mapping, self._now())
        data = packet.serialise()
        proof.prove_sidecar(None, data, wanted, self._mapping)
        return FileChange(path, None, data, (Splice(0, 0, data),), is_image=False)

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")


def _remarks(photo: Photo, wanted: FieldValues) -> list[str]:
    """What other programs may still show from the blocks that XMP does not replace."""
    view = exiv2.look(photo.source.data)
    remarks = []
    if any(name in view.iptc for name in _IPTC_TWINS):
        remarks.append("Its older IPTC keywords and texts were left as they are.")
    exif = view.exif_text(_EXIF_TWIN).strip("\0 ")
    if not _CAMERA_FILLER.fullmatch(exif) and exif != wanted.text(fields.DESCRIPTION):
        remarks.append("Its Exif description says something else; some programs show that first.")
    return remarks


def _named(path: Path, error: MetadataError) -> MetadataError:
    """The same error as a sentence that names the file."""
    message = f"{show_path(path)} was not written: {error.message.rstrip('.')}."
    return MetadataError(message, hint=error.hint, reason=error.reason)
