from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.writing import write_request
from imageworks.metadata.fields import field_mapping
from imageworks.metadata.iptc import CAPTION, KEYWORD, MAX_BYTES, TITLE
from imageworks.metadata.values import FieldValues, desired_values
from imageworks.models import (
    ExistingMetadata,
    ImageState,
    Keyword,
    MetadataTarget,
    Origin,
    Tags,
)
from imageworks.review.changes import ChangePlan, planned_changes
from imageworks.review.merge import choice_of, proposed_tags
from imageworks.review.properties import (
    IPTC_OF,
    iptc_field,
    keyword_properties,
    text_properties,
)
from imageworks.review.session import ReviewCard, ReviewSession
from imageworks.store.records import ImageRow, PendingWrite
from imageworks.text import fold
from tests.support.review_library import ReviewLibrary

CONFIG = PersonalTaggerConfig()
SUGGESTED = Tags(
    "A heron",
    (Keyword("heron", path=("animal", "bird", "heron")), Keyword("water")),
    "It stands.",
)


@pytest.fixture
def made(tmp_path):
    library = ReviewLibrary(tmp_path)
    yield library
    library.library.close()


def card_of(made, existing=None, *, name="a.jpg", config=CONFIG) -> ReviewCard:
    image_id = made.add(name, SUGGESTED, existing=existing or ExistingMetadata())
    card = ReviewSession(made.library, config).card(image_id)
    assert card is not None
    return card


def plan_of(card: ReviewCard, tags: Tags | None = None, config=CONFIG) -> ChangePlan:
    return planned_changes(card, tags or card.fields, config)


def test_new_file_gets_everything(made) -> None:
    plan = plan_of(card_of(made))

    assert [(t.xmp_property, t.before, t.after) for t in plan.texts] == [
        ("dc:title", "", "A heron"),
        ("dc:description", "", "It stands."),
    ]
    assert plan.keywords.added == ("heron", "water")
    assert plan.hierarchy is not None
    assert plan.hierarchy.added == ("animal|bird|heron", "water")
    assert plan.is_changed
    assert (plan.target, plan.why_sidecar, plan.conflict) == (MetadataTarget.FILE, "", "")


def test_files_own_words_stay_and_what_was_taken_out_goes(made) -> None:
    existing = ExistingMetadata(
        title="Mine",
        keywords=("Trip", "Norfolk"),
        hierarchical_keywords=("place|Norfolk", "Trip"),
    )
    card = card_of(made, existing)
    kept = tuple(k for k in card.fields.keywords if k.text not in {"Norfolk", "water"})

    plan = plan_of(card, Tags("Mine", kept, "Better."))

    title, description = plan.texts
    assert not title.is_changed
    assert (description.before, description.after) == ("", "Better.")
    assert plan.keywords.kept == ("Trip",)
    assert plan.keywords.removed == ("Norfolk",)
    assert plan.keywords.added == ("heron",)
    assert plan.hierarchy is not None
    assert plan.hierarchy.kept == ("Trip",)
    assert plan.hierarchy.removed == ("place|Norfolk",)
    assert plan.hierarchy.added == ("animal|bird|heron",)


def test_file_that_says_it_all_is_not_changed(made) -> None:
    existing = ExistingMetadata(
        title="A heron",
        description="It stands.",
        keywords=("heron", "water"),
        hierarchical_keywords=("animal|bird|heron", "water"),
    )

    assert not plan_of(card_of(made, existing)).is_changed


def test_emptied_text_is_a_change(made) -> None:
    card = card_of(made, ExistingMetadata(title="Mine"))

    title = plan_of(card, replace(card.fields, caption="")).texts[0]

    assert (title.before, title.after, title.is_changed) == ("Mine", "", True)


def test_every_property_of_a_mapping_is_told(made) -> None:
    config = replace(CONFIG, fields="lightroom", hierarchy=False, digikam_tags=True)
    card = card_of(made, ExistingMetadata(alt_text="Old"), config=config)

    plan = plan_of(card, config=config)

    assert [(t.xmp_property, t.before, t.after) for t in plan.texts] == [
        ("dc:description", "", "A heron"),
        ("Iptc4xmpCore:AltTextAccessibility", "Old", "Old"),
        ("Iptc4xmpCore:ExtDescrAccessibility", "", "It stands."),
    ]
    assert plan.hierarchy is None
    assert plan.keywords.properties == ("dc:subject", "digiKam:TagsList")
    assert keyword_properties(config) == ("dc:subject", "digiKam:TagsList")


def test_property_that_is_not_read_back_is_not_claimed_to_be_empty(made) -> None:
    config = replace(CONFIG, fields={"caption": "photoshop:Headline"})
    (headline,) = plan_of(card_of(made, config=config), config=config).texts

    assert (headline.before, headline.after) == (None, "A heron")


@pytest.mark.parametrize(
    ("name", "existing", "settings", "target", "why"),
    [
        ("a.jpg", {}, {}, MetadataTarget.FILE, ""),
        ("a.jpg", {"source": "file+sidecar"}, {}, MetadataTarget.BOTH, ""),
        ("a.jpg", {}, {"sidecar": "always"}, MetadataTarget.SIDECAR, "always"),
        ("a.jpg", {"has_credentials": True}, {}, MetadataTarget.SIDECAR, "credentials"),
        (
            *("a.jpg", {"has_credentials": True}, {"content_credentials": "embed"}),
            *(MetadataTarget.FILE, ""),
        ),
        ("a.CR3", {}, {}, MetadataTarget.SIDECAR, "never written into"),
        ("a.dng", {}, {}, MetadataTarget.SIDECAR, "never written into"),
        ("a.dng", {}, {"dng": "embed"}, MetadataTarget.FILE, ""),
        ("a.odd", {}, {}, MetadataTarget.SIDECAR, "never written into"),
    ],
)
def test_target_follows_format_and_settings(made, name, existing, settings, target, why) -> None:
    config = replace(CONFIG, **settings)
    plan = plan_of(card_of(made, ExistingMetadata(**existing), name=name), config=config)

    assert plan.target is target
    assert why in plan.why_sidecar


def test_conflict_is_told(made) -> None:
    image_id = made.add("a.jpg", SUGGESTED)
    made.library.connection.execute(
        "UPDATE image SET reason='conflict', reason_text='It now says X.' WHERE id=?", (image_id,)
    )
    card = ReviewSession(made.library, CONFIG).card(image_id)
    assert card is not None

    assert plan_of(card).conflict == "It now says X."


@pytest.mark.parametrize(
    "mapped",
    [
        "imageworks",
        "lightroom",
        {"caption": "dc:title"},
        {"caption": "dc:title", "alt_text": "photoshop:Headline", "description": "dc:description"},
    ],
)
def test_properties_are_those_that_the_write_sets(mapped) -> None:
    mapping = field_mapping(mapped)

    assert text_properties(replace(CONFIG, fields=mapped)) == {
        "caption": mapping.caption,
        "description": mapping.description,
    }


def test_iptc_limits_are_those_of_the_write() -> None:
    limits = {name: field.limit_bytes for name, field in IPTC_OF.items()}

    assert limits == {
        "dc:title": MAX_BYTES[TITLE],
        "dc:description": MAX_BYTES[CAPTION],
        "dc:subject": MAX_BYTES[KEYWORD],
    }
    assert iptc_field(("dc:title",), CONFIG) == IPTC_OF["dc:title"]
    assert iptc_field(("dc:title",), replace(CONFIG, write_iptc="never")) is None
    assert iptc_field(("photoshop:Headline",), CONFIG) is None


WORDS = st.sampled_from(["boat", "sea", "hill", "tree", "cat", "dog"])
DISTINCT = st.lists(WORDS, unique=True, max_size=4).map(tuple)
TEXT = st.sampled_from(["", "One", "Two"])
PATHS = {"boat": ("thing", "boat"), "cat": ("animal", "cat")}


def keywords(texts: tuple[str, ...], origin: Origin = Origin.MODEL) -> tuple[Keyword, ...]:
    return tuple(Keyword(text, origin=origin, path=PATHS.get(text, ())) for text in texts)


@given(TEXT, TEXT, DISTINCT, DISTINCT, DISTINCT, DISTINCT, TEXT, TEXT, st.booleans(), st.booleans())
def test_plan_says_what_the_write_does(  # noqa: PLR0913, PLR0917  # one for each side
    title, description, had, nested, suggested, wanted, caption, about, is_overwrite, has_hierarchy
) -> None:
    config = replace(CONFIG, overwrite_metadata=is_overwrite, hierarchy=has_hierarchy)
    existing = ExistingMetadata(
        title=title,
        description=description,
        keywords=had,
        hierarchical_keywords=tuple("|".join(PATHS.get(w, (w,))) for w in nested),
    )
    model = Tags("Three", keywords(suggested), "Four")
    proposed = proposed_tags(model, existing, config)
    known = {fold(k.text): k for k in proposed.keywords}
    chosen = tuple(known.get(w, Keyword(w, origin=Origin.PERSON)) for w in wanted)
    tags = Tags(caption, chosen, about)
    card = ReviewCard(
        row=_row(),
        fields=tags,
        proposed=proposed,
        suggested=model,
        existing=existing,
        is_draft=False,
        made_by="",
        notes=(),
    )
    write = PendingWrite(
        *(1, 1, 1, "person", Path("a.jpg"), ""), choice_of(tags, proposed, existing), existing
    )
    before = FieldValues(
        texts={n: t for n, t in (("dc:title", title), ("dc:description", description)) if t},
        keywords=had,
        hierarchy=existing.hierarchical_keywords,
    )

    after = desired_values(
        before, write_request(write, config), field_mapping(config.fields), config
    )
    plan = planned_changes(card, tags, config)

    assert {t.xmp_property: t.after for t in plan.texts} == {
        name: after.text(name) for name in ("dc:title", "dc:description")
    }
    assert sorted((*plan.keywords.kept, *plan.keywords.added)) == sorted(after.keywords)
    if plan.hierarchy is not None:
        listed = (*plan.hierarchy.kept, *plan.hierarchy.added)
        assert sorted(listed) == sorted(after.hierarchy)


def _row() -> ImageRow:
    names = ImageRow._fields
    texts = ("caption", "reason", "reason_text", "content_id", "note")
    values: dict[str, Any] = {**dict.fromkeys(names), **dict.fromkeys(texts, "")}
    return ImageRow(**{**values, "id": 1, "path": Path("a.jpg"), "state": ImageState.SUGGESTED})
