"""Suggestions: recorded before the next picture is asked about, and found again by content."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from imageworks.models import ImageState, Suggestion, Tags
from imageworks.store.records import (
    NewSuggestion,
    StoredSuggestion,
    answers_from_json,
    answers_to_json,
    existing_from_json,
    existing_to_json,
    keywords_from_json,
    keywords_to_json,
    moment,
)
from imageworks.text import fold

if TYPE_CHECKING:
    import sqlite3

    from imageworks.models import ExistingMetadata, Keyword, Stage
    from imageworks.store.library import Library


class Suggestions:
    """The library's suggestions. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def record(self, image_id: int, run_id: int, new: NewSuggestion) -> int:
        """Keeps a suggestion, marks its image ``suggested`` and takes it off the queue."""
        tags = new.suggestion.tags
        with self._library.transaction() as connection:
            row = connection.execute(
                "INSERT INTO suggestion(image_id, run_id, created, content, fingerprint, backend,"
                " base_url, models, profile, caption, keywords, description, keyword_json, notes,"
                " answers, existing, timing, duration_ms, confidence, new_keywords, disagreement)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING id",
                (
                    *(image_id, run_id, self._library.now_ms(), new.content_id, new.fingerprint),
                    *(new.backend, new.base_url, json.dumps(dict(new.models)), new.prompt_profile),
                    *(tags.caption, "\n".join(k.text for k in tags.keywords), tags.description),
                    keywords_to_json(tags.keywords),
                    json.dumps(new.suggestion.notes, ensure_ascii=False),
                    answers_to_json(new.answers),
                    existing_to_json(new.existing),
                    json.dumps(dict(new.timing_s)),
                    round(new.duration_s * 1000),
                    _confidence(tags),
                    _new_keywords(tags.keywords, new.existing),
                    disagreement(tags, new.existing),
                ),
            ).fetchone()
            suggestion_id = int(row["id"])
            self._record_requests(connection, image_id, run_id, new)
            updated = connection.execute(
                "UPDATE image SET suggestion_id=?, state=?, state_at=?, reason='', reason_text='',"
                " decision_id=iif(lead_id IS NULL, NULL, decision_id) WHERE id=?"
                " RETURNING decision_id",
                (suggestion_id, ImageState.SUGGESTED, self._library.now_ms(), image_id),
            ).fetchone()
            if updated is not None and updated["decision_id"] is not None:
                # A RAW that shares its JPEG's card was decided on with it: nobody sees it again.
                self._library.images.restore_state(image_id)
            connection.execute("DELETE FROM work WHERE image_id=?", (image_id,))
            return suggestion_id

    def get(self, suggestion_id: int) -> StoredSuggestion | None:
        """One suggestion, or None."""
        row = self._library.connection.execute(
            "SELECT * FROM suggestion WHERE id=?", (suggestion_id,)
        ).fetchone()
        return None if row is None else _stored(row)

    def count(self, image_id: int) -> int:
        """How many suggestions an image has had."""
        row = self._library.connection.execute(
            "SELECT count(*) FROM suggestion WHERE image_id=?", (image_id,)
        ).fetchone()
        return int(row[0])

    def stages_since(self, image_id: int, suggestion_id: int) -> frozenset[Stage]:
        """What an image was asked about for the suggestions after this one."""
        rows = self._library.connection.execute(
            "SELECT answers FROM suggestion WHERE image_id=? AND id>?", (image_id, suggestion_id)
        )
        answers = (answer for row in rows for answer in answers_from_json(row["answers"]))
        return frozenset(stage for answer in answers for stage in answer.stages)

    def record_existing(self, suggestion_id: int, existing: ExistingMetadata) -> None:
        """Takes note of what the file says by now."""
        with self._library.transaction() as connection:
            row = connection.execute(
                "SELECT caption, keyword_json, description FROM suggestion WHERE id=?",
                (suggestion_id,),
            ).fetchone()
            keywords = keywords_from_json(row["keyword_json"])
            tags = Tags(row["caption"], keywords, row["description"])
            connection.execute(
                "UPDATE suggestion SET existing=?, new_keywords=?, disagreement=? WHERE id=?",
                (
                    *(existing_to_json(existing), _new_keywords(keywords, existing)),
                    *(disagreement(tags, existing), suggestion_id),
                ),
            )

    def record_present(self, image_id: int, existing: ExistingMetadata) -> None:
        """Takes note of what an image's file says by now, beside its latest suggestion."""
        row = self._library.connection.execute(
            "SELECT suggestion_id FROM image WHERE id=?", (image_id,)
        ).fetchone()
        if row is not None and row["suggestion_id"] is not None:
            self.record_existing(row["suggestion_id"], existing)

    def find_asked(self, content_id: str, fingerprint: str) -> StoredSuggestion | None:
        """The newest suggestion for this picture data that was asked in this same way."""
        row = self._library.connection.execute(
            "SELECT * FROM suggestion WHERE content=? AND fingerprint=? ORDER BY id DESC LIMIT 1",
            (content_id, fingerprint),
        ).fetchone()
        return None if row is None else _stored(row)

    def _record_requests(
        self, connection: sqlite3.Connection, image_id: int, run_id: int, new: NewSuggestion
    ) -> None:
        last = connection.execute(
            "SELECT coalesce(max(id), 0) FROM request WHERE run_id=?", (run_id,)
        ).fetchone()[0]
        for number, answer in enumerate(new.answers, last + 1):
            connection.execute(
                "INSERT INTO request VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    *(run_id, number, image_id, self._library.now_ms()),
                    *("+".join(answer.names), answer.model, answer.attempts, "ok"),
                    round(answer.duration_s * 1000),
                    None if answer.ttft_s is None else round(answer.ttft_s * 1000),
                    *(answer.prompt_tokens, answer.completion_tokens),
                ),
            )


def _confidence(tags: Tags) -> float | None:
    """The mean of the keywords' scores, 0 to 1, where any are known."""
    scores = [keyword.score for keyword in tags.keywords if keyword.score is not None]
    return sum(scores) / len(scores) if scores else None


def disagreement(tags: Tags, existing: ExistingMetadata) -> float:
    """How far a suggestion is from what the file says: 0 where the file says nothing, to 3.

    One for the caption and one for the description where the file has words of its own and these
    are none of them; and the share of keywords that are new to a file that has keywords.
    """
    texts = (existing.title, existing.description, existing.alt_text, existing.extended_description)
    own = {fold(text) for text in texts if text}
    suggested = [fold(text) for text in (tags.caption, tags.description) if text]
    differing = sum(text not in own for text in suggested) if own else 0
    is_tagged = bool(existing.keywords) and bool(tags.keywords)
    share = _new_keywords(tags.keywords, existing) / len(tags.keywords) if is_tagged else 0.0
    return differing + share


def _new_keywords(keywords: tuple[Keyword, ...], existing: ExistingMetadata) -> int:
    """How many of the keywords the file does not have."""
    known = {fold(text) for text in existing.keywords}
    return sum(fold(keyword.text) not in known for keyword in keywords)


def _stored(row: sqlite3.Row) -> StoredSuggestion:
    tags = Tags(row["caption"], keywords_from_json(row["keyword_json"]), row["description"])
    return StoredSuggestion(
        id=row["id"],
        image_id=row["image_id"],
        run_id=row["run_id"],
        created_at=moment(row["created"]),
        suggestion=Suggestion(tags, tuple(json.loads(row["notes"]))),
        content_id=row["content"],
        fingerprint=row["fingerprint"],
        backend=row["backend"],
        base_url=row["base_url"],
        models=json.loads(row["models"]),
        prompt_profile=row["profile"],
        answers=answers_from_json(row["answers"]),
        existing=existing_from_json(row["existing"]),
        timing_s=json.loads(row["timing"]),
        duration_s=row["duration_ms"] / 1000,
    )
