"""Whether store, journal, accepted fields and disk tell the same about every image.

The journal is a chain: the bytes that a file had first, each entry's bytes before and after, the
bytes on disk. Where every link fits, no write lacks its entry and no entry its write.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imageworks.config import PersonalTaggerConfig
from imageworks.content import MalformedFileError, content_id, sniff_format
from imageworks.errors import MetadataError
from imageworks.metadata.process import MetadataProcess
from imageworks.metadata.replace import BACKUP_ENDING
from imageworks.metadata.source import identity_of
from imageworks.metadata.splice import unpack_undo
from imageworks.models import ImageState, Keyword
from imageworks.store.records import cache_path, existing_from_json, stored_path, tags_from_json
from imageworks.text import fold
from tests.support.under_fire import BALLAST, State, exiftool_dump, states

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from imageworks.models import ExistingMetadata, Tags
    from imageworks.store.library import Library

_SHOWN = 8
_NO_XMP = "TXT"
"""What ExifTool takes a sidecar for that begins with blanks before its bare ``rdf:RDF``."""
_OPEN = {"intended", "writing"}
_ON_ITS_WAY = {ImageState.ACCEPTED, ImageState.QUEUED, ImageState.INFERRING}


@dataclass(frozen=True, slots=True)
class Decided:
    """One row of the store's decisions."""

    id: int
    image_id: int
    kind: str
    made_by: str
    write_state: str
    tags: Tags


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the store's journal."""

    id: int
    decision_id: int
    image_id: int
    state: str
    is_changed: bool
    target_path: Path | None
    undo: bytes


class LibraryTruth:
    """Looks at a library that nobody works on any more.

    Args:
        library: The library.
        folder: Where its photographs are.
        before: Every file as it was before the first write.
        seen_before: What ExifTool saw then.
    """

    def __init__(
        self,
        library: Library,
        folder: Path,
        before: dict[str, State],
        seen_before: dict[str, dict[str, object]],
    ) -> None:
        self._library = library
        self._folder = folder
        self._before = before
        self._seen_before = seen_before
        self._broken: dict[str, list[str]] = defaultdict(list)
        self.fields_compared = 0
        self.links_compared = 0
        self.halves = 0
        self.shown_from_inside = 0
        self.unread_by_exiftool = 0

    def decisions(self) -> list[Decided]:
        """All decisions, oldest first."""
        rows = self._library.connection.execute("SELECT * FROM decision ORDER BY id")
        return [
            Decided(
                *(r["id"], r["image_id"], r["kind"], r["made_by"], r["write_state"]),
                tags_from_json(r["tags"]),
            )
            for r in rows
        ]

    def entries(self) -> list[Entry]:
        """The whole journal, oldest first."""
        rows = self._library.connection.execute("SELECT * FROM write_journal ORDER BY id")
        return [
            Entry(
                *(r["id"], r["decision_id"], r["image_id"], r["state"], bool(r["is_changed"])),
                cache_path(r["target_path"]),
                r["undo"],
            )
            for r in rows
        ]

    def paths(self) -> dict[int, Path]:
        """Where each image is."""
        rows = self._library.connection.execute(
            "SELECT i.id, i.name, f.path FROM image i JOIN folder f ON f.id = i.folder_id"
        )
        return {row["id"]: stored_path(row["path"], row["name"]) for row in rows}

    def look(self, made: Iterable[tuple[int, str]]) -> dict[str, list[str]]:
        """What does not agree, by kind, the first few of each; empty where all does.

        Args:
            made: Image and caption of each accept that returned to the person who made it.
        """
        self._broken.clear()
        after = states(self._folder)
        decisions, entries = self.decisions(), self.entries()
        self._look_at_decisions(decisions, entries, made)
        self._look_at_chains(entries, after)
        self._look_at_states()
        self._look_at_pictures(after)
        asyncio.run(self._look_at_fields(decisions, entries, after))
        return {kind: names[:_SHOWN] for kind, names in sorted(self._broken.items())}

    def _look_at_decisions(
        self, decisions: list[Decided], entries: list[Entry], made: Iterable[tuple[int, str]]
    ) -> None:
        kept = {(d.image_id, d.tags.caption) for d in decisions if d.kind == "accept"}
        for image_id, caption in made:
            if (image_id, caption) not in kept:
                self._broken["decisions lost"].append(f"{image_id}: {caption}")
        of_decision: dict[int, list[Entry]] = defaultdict(list)
        for entry in entries:
            of_decision[entry.decision_id].append(entry)
            if entry.state not in {"done", "undone"}:
                self._broken["entries open"].append(f"{entry.id}: {entry.state}")
        for decision in decisions:
            count = len(of_decision[decision.id])
            if decision.write_state == "conflict":  # nobody else writes here
                self._broken["conflict with nobody"].append(str(decision.id))
            if decision.write_state in _OPEN:
                self._broken["writes open"].append(f"{decision.id}: {decision.write_state}")
            elif decision.write_state in {"written", "undone"} and not count:
                self._broken["written without an entry"].append(str(decision.id))
            elif decision.write_state in {"none", "superseded"} and count:
                self._broken["entries without a write"].append(str(decision.id))

    def _look_at_chains(self, entries: list[Entry], after: dict[str, State]) -> None:
        """Follows every file from its first bytes to those on disk, by the journal alone."""
        now = {name: identity_of(state.data) for name, state in self._before.items()}
        last: dict[str, str] = {}
        for entry in (entry for entry in entries if entry.undo and entry.state == "done"):
            undos = unpack_undo(entry.undo)
            for undo in undos:
                name = str(undo.path.relative_to(self._folder))
                self.links_compared += 1
                if now.get(name, "") == undo.identity_before:
                    pass
                elif last.get(name) == undo.identity_before:
                    self.halves += 1  # a write of two files, cut off between them and done again
                else:
                    self._broken["entry does not follow the last"].append(f"{entry.id} {name}")
                now[name] = undo.identity_after
                last.pop(name, None)
                if len(undos) > 1:
                    last[name] = undo.identity_before
        for name, state in after.items():
            if name not in now:
                self._look_at_stranger(name, state)
            elif identity_of(state.data) != now[name]:
                is_as_first = name in self._before and state.data == self._before[name].data
                kind = "entry not on disk" if is_as_first else "disk not in the journal"
                self._broken[kind].append(name)
        self._broken_files("files gone", now.keys() - after.keys())

    def _look_at_stranger(self, name: str, state: State) -> None:
        """A file that was not there and no entry tells of: only a first original may be."""
        first = self._before.get(name.removesuffix(BACKUP_ENDING))
        if not name.endswith(BACKUP_ENDING):
            if name != BALLAST:
                self._broken["stray files"].append(name)
        elif first is not None and first.data != state.data:
            self._broken["backup is not the original"].append(name)

    def _look_at_states(self) -> None:
        for row in self._library.images.rows(self._library.images.ids()):
            if row.state in _ON_ITS_WAY:
                self._broken["images on their way"].append(f"{row.path.name}: {row.state}")
            if row.state is ImageState.FAILED and not row.reason_text:
                self._broken["failed without a reason"].append(row.path.name)

    def _look_at_pictures(self, after: dict[str, State]) -> None:
        for name, state in self._before.items():
            if name in after and _picture_of(name, state) != _picture_of(name, after[name]):
                self._broken["picture changed"].append(name)
        told = "-api", "RequestTags=ImageDataHash"
        for name, tags in exiftool_dump(self._folder, *told).items():
            digests = [tags_of.get("File:ImageDataHash") for tags_of in (tags, self._seen(name))]
            if name in self._seen_before and digests[0] != digests[1]:
                self._broken["picture changed for ExifTool"].append(name)

    def _seen(self, name: str) -> dict[str, object]:
        return self._seen_before.get(name, {})

    async def _look_at_fields(
        self, decisions: list[Decided], entries: list[Entry], after: dict[str, State]
    ) -> None:
        """Compares what was accepted last with what our reader and ExifTool find."""
        last = {d.image_id: d for d in decisions if d.write_state == "written"}
        target = {entry.decision_id: entry.target_path for entry in entries if entry.target_path}
        paths, seen = self.paths(), exiftool_dump(self._folder, "-struct")
        followers = self._followers()
        process = MetadataProcess(PersonalTaggerConfig(), is_dry_run=True)
        for image_id, decision in last.items():
            path = paths[image_id]
            try:
                present = await process.read(path)
            except MetadataError as error:
                self._broken["cannot be read"].append(f"{path.name}: {error.message}")
                continue
            self.fields_compared += 1
            place = target.get(decision.id)
            inside = seen.get(str(path.relative_to(self._folder)), {})
            older = _older_texts(inside, has_own_xmp=place not in {None, path})
            wanted = self._wanted(decision, followers)
            self._compare(f"{path.name} {decision.id}", wanted, present, older)
            if place is not None and seen:
                name = str(place.relative_to(self._folder))
                tags = seen.get(name, {})
                if tags.get("File:FileType") == _NO_XMP:
                    self.unread_by_exiftool += 1
                else:
                    self._compare_seen(f"{name} {decision.id}", wanted, tags)
        await process.aclose()

    def _followers(self) -> set[int]:
        """The other files of pairs: decided on by their leader's fields."""
        rows = self._library.connection.execute("SELECT id FROM image WHERE lead_id IS NOT NULL")
        return {row["id"] for row in rows}

    def _wanted(self, decision: Decided, followers: set[int]) -> Tags:
        """What the disk has to say; a follower's own keywords, which nobody saw, stay."""
        if decision.image_id not in followers:
            return decision.tags
        row = self._library.connection.execute(
            "SELECT before FROM write_journal WHERE image_id=? ORDER BY id LIMIT 1",
            (decision.image_id,),
        ).fetchone()
        own = () if row is None else existing_from_json(row["before"]).keywords
        removed = self._library.decisions.choice(decision.id).removed_keywords
        gone = {fold(text) for text in removed}
        kept = tuple(Keyword(text) for text in own if fold(text) not in gone)
        return replace(decision.tags, keywords=(*decision.tags.keywords, *kept))

    def _compare(self, name: str, wanted: Tags, present: ExistingMetadata, older: set[str]) -> None:
        pairs = {
            "caption": (wanted.caption, present.title),
            "description": (wanted.description, present.description),
        }
        for field, (accepted, found) in pairs.items():
            is_older = not accepted and _line(found) in older
            self.shown_from_inside += is_older
            if accepted != found and not is_older:
                self._broken[f"{field} not as accepted"].append(f"{name}: {accepted!r} {found!r}")
        self._compare_keywords("keywords", name, wanted, present.keywords)

    def _compare_seen(self, name: str, wanted: Tags, tags: dict[str, object]) -> None:
        pairs = {
            "caption": (wanted.caption, tags.get("XMP-dc:Title", "")),
            "description": (wanted.description, tags.get("XMP-dc:Description", "")),
        }
        for field, (accepted, found) in pairs.items():
            if _line(accepted) != _line(found):
                self._broken[f"{field} not as accepted for ExifTool"].append(
                    f"{name}: {accepted!r} {found!r}"
                )
        subject = tags.get("XMP-dc:Subject", [])
        found = tuple(map(_line, subject if isinstance(subject, list) else [subject]))
        self._compare_keywords("keywords for ExifTool", name, wanted, found)

    def _compare_keywords(self, kind: str, name: str, wanted: Tags, found: tuple[str, ...]) -> None:
        accepted = {fold(keyword.text) for keyword in wanted.keywords}
        if accepted != {fold(text) for text in found}:
            odd = sorted(accepted ^ {fold(text) for text in found})
            self._broken[f"{kind} not as accepted"].append(f"{name}: {odd}")

    def _broken_files(self, kind: str, names: Iterable[str]) -> None:
        for name in sorted(names):
            self._broken[kind].append(name)


def _line(value: object) -> str:
    """A text as ExifTool and we both show it: one language, lines by LF."""
    if isinstance(value, dict):
        value = value.get("x-default", next(iter(value.values()), ""))
    return str(value).replace("\r\n", "\n").strip()


def _older_texts(tags: dict[str, object], *, has_own_xmp: bool) -> set[str]:
    """What readers fall back on where a person has cleared a field: Exif, IPTC, XMP we leave."""
    names = ("ImageDescription", "Caption-Abstract", "ObjectName", "Title", "Description")
    return {
        _line(value)
        for key, value in tags.items()
        if key.endswith(names) and (has_own_xmp or not key.startswith("XMP"))
    }


def _picture_of(name: str, state: State) -> str:
    """The digest of a file's picture data; empty for what is no picture we know."""
    kind = sniff_format(state.data[:64], name)
    if kind is None:
        return ""
    try:
        return content_id(state.data, kind)
    except (MalformedFileError, ValueError):
        return "malformed"
