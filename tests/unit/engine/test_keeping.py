"""What is kept of an answer: hints tell pictures apart, single fields are completed."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from imageworks.engine.keeping import completed, hinted, unhinted
from imageworks.models import ExistingMetadata, Keyword, Stage, Suggestion, Tags
from imageworks.store.records import NewSuggestion, StoredSuggestion

NEW = Tags("new caption", (Keyword("new"),), "new description")
OLD = Tags("old caption", (Keyword("old"),), "old description")


def suggestion(tags, fingerprint="f"):
    return NewSuggestion(
        suggestion=Suggestion(tags),
        content_id="c",
        fingerprint=fingerprint,
        backend="vllm",
        base_url="http://127.0.0.1:1/v1",
        models={},
        prompt_profile="default",
        existing=ExistingMetadata(),
    )


def stored(tags, fingerprint="f"):
    new = suggestion(tags, fingerprint)
    return StoredSuggestion(
        id=1,
        image_id=1,
        run_id=1,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        suggestion=new.suggestion,
        content_id=new.content_id,
        fingerprint=new.fingerprint,
        backend=new.backend,
        base_url=new.base_url,
        models=new.models,
        prompt_profile=new.prompt_profile,
        answers=(),
        existing=new.existing,
        timing_s={},
        duration_s=0.0,
    )


@given(st.text(min_size=1), st.text(min_size=1))
def test_every_hint_is_another_question_and_still_the_same_without_it(one, other):
    assert hinted("f", one) != "f"
    assert unhinted(hinted("f", one)) == "f"
    assert (hinted("f", one) == hinted("f", other)) == (one == other)


def test_without_a_hint_a_question_is_what_it_is():
    assert hinted("f", "") == "f" == unhinted("f")


def test_a_field_asked_alone_leaves_the_others_as_they_were():
    for stage, field in (
        (Stage.CAPTION, "caption"),
        (Stage.KEYWORDS, "keywords"),
        (Stage.DESCRIPTION, "description"),
    ):
        tags = completed(suggestion(NEW), [stage], stored(OLD)).suggestion.tags

        for name in ("caption", "keywords", "description"):
            assert getattr(tags, name) == getattr(NEW if name == field else OLD, name)


def test_what_is_partly_hinted_fits_no_other_picture_either():
    old = stored(OLD, hinted("f", "an osprey"))

    of_the_plain = completed(suggestion(NEW), [Stage.CAPTION], old)
    of_another_hint = completed(suggestion(NEW, hinted("f", "an eagle")), [Stage.CAPTION], old)

    assert of_the_plain.fingerprint == hinted("f", "an osprey")
    assert of_another_hint.fingerprint == hinted("f", "an eagle")
