"""What a write would do, worked out and proven in memory before a byte is written."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata import conflict, fields, iptc, jpeg, merge, proof, values
from imageworks.metadata.containers import no_container, require_container, takes_xmp
from imageworks.metadata.iptc import IptcChange
from imageworks.metadata.packet import XmpPacket
from imageworks.metadata.photo import (
    EXIF_DESCRIPTION,
    EmbeddedXmp,
    Photo,
    Sidecar,
    load_photo,
    picture_id,
)
from imageworks.metadata.reconcile import exif_description, older_keywords
from imageworks.metadata.refusal import refusal
from imageworks.metadata.replace import check_folder, check_replaceable
from imageworks.metadata.source import Source
from imageworks.metadata.splice import Splice
from imageworks.models import ExistingMetadata, ImageFormat, MetadataTarget
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from imageworks.config import PersonalTaggerConfig
    from imageworks.metadata.sidecar import SidecarNames
    from imageworks.metadata.values import FieldValues
    from imageworks.stages import WriteRequest

    BeginDraft = Callable[[Source, Sequence[Splice]], None]

logger = logging.getLogger(__name__)

_IPTC_LEFT = "Its older IPTC keywords and texts were left as they are."
_EXPECTED_OBSTACLE = "format"
_NO_HAZARD = frozenset({_EXPECTED_OBSTACLE, "credentials"})
"""What has a policy of its own: formats that take a sidecar anyway, and sealed files."""
_IPTC_TWINS = tuple(f"Iptc.Application2.{name}" for name in ("Keywords", "Caption", "ObjectName"))
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

    @property
    def target(self) -> MetadataTarget:
        """Where the changes go."""
        has_image = any(change.is_image for change in self.changes)
        has_sidecar = any(not change.is_image for change in self.changes)
        if has_image:
            return MetadataTarget.BOTH if has_sidecar else MetadataTarget.FILE
        return MetadataTarget.SIDECAR if has_sidecar else MetadataTarget.NONE


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

    @property
    def is_always_beside(self) -> bool:
        """Whether every file gets a sidecar by choice."""
        return self._config.sidecar == "always"

    def load(self, path: Path) -> Photo:
        """The photograph with its sidecars; see `load_photo`."""
        real = Path(os.path.realpath(path))
        keeps_iptc = self._config.write_iptc == "if-present" and self._config.sidecar != "always"
        sidecars = self._names.existing(real)
        return load_photo(
            path, sidecars, self._mapping, keeps_iptc=keeps_iptc, may_embed=self._may_embed
        )

    def _may_embed(self, embedded: EmbeddedXmp) -> bool:
        """Whether changes go into a file with such XMP, where its format takes any."""
        if self._config.sidecar == "always" or embedded.obstacle is not None:
            return False
        return not embedded.has_credentials or self._config.content_credentials == "embed"

    def plan(
        self,
        request: WriteRequest,
        *,
        obstacle: MetadataError | None = None,
        begin: BeginDraft = lambda _source, _splices: None,
    ) -> WritePlan:
        """The changes that a request needs; none when everything is already there.

        Args:
            request: What was accepted.
            obstacle: Why the image itself cannot be written, as an earlier try has shown.
            begin: Told how the image would change before that is proven, so that a draft of it can
                be on its way meanwhile. What it is told may come to nothing, or be told anew.

        Raises:
            MetadataError: It cannot be done without harm; nothing was written.
        """
        photo = self.load(request.path)
        if request.expected_content_id not in {"", picture_id(photo)}:
            message = f"{show_path(request.path)} is no longer the picture that was reviewed."
            raise MetadataError(message, hint="review it again.", reason="picture-changed")
        wanted = self._wanted(photo, request)
        notes: list[str] = []
        image = self._image_change(photo, wanted, obstacle, notes, begin)
        sidecars = self._sidecar_changes(photo, wanted, notes, needs_one=image is None)
        changes = [change for change in (image, *sidecars) if change and change.splices]
        if image in changes:
            notes += _remarks(photo, wanted)
        return WritePlan(photo, photo.existing(), tuple(changes), tuple(notes) if changes else ())

    def obstacle(self, photo: Photo) -> MetadataError | None:
        """Why the image itself is not written: by policy, or as it is; None where it can be."""
        if photo.format is ImageFormat.DNG and self._config.dng != "embed":
            return no_container()
        if photo.embedded.obstacle is not None:
            return photo.embedded.obstacle
        if photo.embedded.has_credentials and self._config.content_credentials != "embed":
            because = "it carries content credentials (C2PA), which any change would break"
            return refusal(reason="credentials", because=because)
        return None

    def _wanted(self, photo: Photo, request: WriteRequest) -> FieldValues:
        try:
            if not self._config.overwrite_metadata:
                conflict.check_texts(photo.values, request, self._mapping)
                keywords = conflict.wanted_keywords(photo.values, request)
                request = replace(request, tags=replace(request.tags, keywords=keywords))
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
        begin: BeginDraft,
    ) -> FileChange | None:
        """The image's change, without splices when it already says everything.

        None when a sidecar has to take it; the notes then say why.
        """
        if self._config.sidecar == "always":
            return None
        obstacle = obstacle or self.obstacle(photo)
        if obstacle is None:
            try:
                return self._embed(photo, wanted, notes, begin)
            except MetadataError as error:
                if error.reason in _FATAL:
                    raise _named(photo.source.path, error) from error
                obstacle = error
        is_hazard = obstacle.reason not in _NO_HAZARD
        if self._config.sidecar == "never" or (is_hazard and self._config.on_hazard == "refuse"):
            raise _named(photo.source.path, obstacle) from obstacle
        if obstacle.reason != _EXPECTED_OBSTACLE or takes_xmp(photo.format):
            notes.append(f"Written beside the file: {obstacle.message}.")
        return None

    def _embed(
        self, photo: Photo, wanted: FieldValues, notes: list[str], begin: BeginDraft
    ) -> FileChange:
        source = photo.source
        raw = photo.embedded.raw
        packet = XmpPacket.parse(raw) if photo.embedded.packet else XmpPacket.new()
        if not values.apply_values(packet, wanted, self._mapping, self._now()):
            return FileChange(source.path, source, source.data, (), is_image=True)
        check_replaceable(source)
        container = require_container(photo.format)
        splices = container.put_packet(source.data, packet.serialise())
        if photo.is_iptc_in_step:
            try:
                change, older = self._iptc_change(photo, wanted)
                begin(source, (*splices, *older))
                return self._proven(photo, (*splices, *older), wanted, notes, change)
            except MetadataError as error:
                if error.reason in _FATAL:
                    raise
                logger.info("%s: IPTC left: %s", show_path(source.path), error.message)
                notes.append(_IPTC_LEFT)
        begin(source, splices)
        return self._proven(photo, splices, wanted, notes, None)

    def _proven(
        self,
        photo: Photo,
        splices: tuple[Splice, ...],
        wanted: FieldValues,
        notes: list[str],
        iptc_change: IptcChange | None,
    ) -> FileChange:
        source = photo.source
        data = proof.prove_image(photo, splices, wanted, self._mapping, iptc=iptc_change)
        if photo.embedded.has_credentials:
            notes.append("Its content credentials (C2PA) no longer match: any edit breaks them.")
        return FileChange(source.path, source, data, splices, is_image=True)

    def _iptc_change(
        self, photo: Photo, wanted: FieldValues
    ) -> tuple[IptcChange | None, tuple[Splice, ...]]:
        """What keeps the older IPTC block in step; nothing where it stays as it is."""
        ours = set(self._mapping.properties)
        keywords = wanted.keywords
        told, digest = iptc.read_iptc(photo.embedded.photoshop)
        if digest is iptc.Digest.ABSENT and not self._config.overwrite_metadata:
            keywords = older_keywords(photo.values.keywords, keywords, told)
        change = IptcChange(
            keywords,
            title=wanted.text(fields.TITLE) if fields.TITLE in ours else None,
            caption=wanted.text(fields.DESCRIPTION) if fields.DESCRIPTION in ours else None,
        )
        block = iptc.updated_block(photo.embedded.photoshop, change)
        if block == photo.embedded.photoshop:
            return None, ()
        return change, jpeg.put_photoshop(photo.source.data, block)

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
    if photo.view is None:
        return []
    remarks = []
    if not photo.is_iptc_in_step and any(name in photo.view.iptc for name in _IPTC_TWINS):
        remarks.append(_IPTC_LEFT)
    shown = exif_description(photo.view.exif_text(EXIF_DESCRIPTION))
    if shown and shown != wanted.text(fields.DESCRIPTION):
        remarks.append("Its Exif description says something else; some programs show that first.")
    return remarks


def _named(path: Path, error: MetadataError) -> MetadataError:
    """The same error as a sentence that names the file."""
    message = f"{show_path(path)} was not written: {error.message.rstrip('.')}."
    return MetadataError(message, hint=error.hint, reason=error.reason)
