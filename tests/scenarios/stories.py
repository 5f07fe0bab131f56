"""The stories of reviewing, each told once; `test_stories.py` tells them to every driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.models import ImageState, Origin
from imageworks.store.session import SUGGESTION_WISH, SuggestionWish
from tests.support.review_library import tags_of

if TYPE_CHECKING:
    from tests.scenarios.drivers import Driver


def keyword_texts(driver: Driver) -> list[str]:
    return [keyword.text for keyword in driver.fields().keywords]


async def accept_two_edit_one_reject_one(driver: Driver) -> None:
    await driver.accept()
    await driver.accept()
    await driver.write("caption", "A hill in Wales")
    await driver.accept()
    await driver.reject()

    assert driver.made.states() == {
        "a.jpg": ImageState.ACCEPTED,
        "b.jpg": ImageState.ACCEPTED,
        "c.jpg": ImageState.ACCEPTED,
        "d.jpg": ImageState.REJECTED,
        "e.jpg": ImageState.DISCOVERED,
    }
    assert driver.made.written_choice("a.jpg").caption == "A red boat"
    assert driver.made.written_choice("c.jpg").caption == "A hill in Wales"


async def accept_goes_to_the_next_image_to_review(driver: Driver) -> None:
    await driver.accept()

    assert driver.current() == "b.jpg"


async def undo_before_the_write_takes_the_decision_back_and_returns_to_it(
    driver: Driver,
) -> None:
    await driver.accept()
    await driver.reject()
    await driver.undo()

    assert driver.current() == "b.jpg"
    assert driver.made.states()["b.jpg"] is ImageState.SUGGESTED
    await driver.undo()
    assert driver.current() == "a.jpg"
    assert driver.made.states()["a.jpg"] is ImageState.SUGGESTED
    assert driver.made.library.decisions.count_intended() == 0


async def undo_gives_back_what_was_typed(driver: Driver) -> None:
    await driver.write("caption", "My boat")
    await driver.accept()
    await driver.undo()

    assert driver.current() == "a.jpg"
    assert driver.fields().caption == "My boat"


async def skip_leaves_the_image_without_a_write(driver: Driver) -> None:
    await driver.skip()

    assert driver.made.states()["a.jpg"] is ImageState.SKIPPED
    assert driver.current() == "b.jpg"
    assert driver.made.library.decisions.count_intended() == 0


async def filter_to_review_hides_what_is_decided(driver: Driver) -> None:
    await driver.accept()
    await driver.change_filter()

    assert driver.listed() == ["b.jpg", "c.jpg", "d.jpg"]


async def draft_survives_moving_away_and_a_new_session(driver: Driver) -> None:
    await driver.write("description", "A door I like")
    await driver.next()
    await driver.leave_and_return()

    assert driver.current() == "b.jpg"
    await driver.undo()  # nothing to take back in a new session
    await driver.next_undecided()
    await driver.next_undecided()
    await driver.next_undecided()
    assert driver.current() == "a.jpg"
    assert driver.fields().description == "A door I like"
    assert driver.made.states()["a.jpg"] is ImageState.SUGGESTED


async def new_session_starts_where_the_last_one_stopped(driver: Driver) -> None:
    await driver.change_filter()
    await driver.next()
    await driver.next()
    await driver.leave_and_return()

    assert driver.current() == "c.jpg"
    assert driver.listed() == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


async def the_files_own_words_come_first_and_stay(driver: Driver) -> None:
    await driver.next()

    assert driver.fields().caption == "Minka"
    assert keyword_texts(driver) == ["Family", "Paris, France", "cat", "sofa"]


async def the_models_words_can_take_the_place_of_the_files(driver: Driver) -> None:
    await driver.next()
    await driver.take_model()
    await driver.accept()

    assert driver.made.written_choice("b.jpg").caption == "A grey cat"
    assert driver.made.written_choice("b.jpg").description == "A grey cat sleeps."


async def typed_keywords_are_the_persons_and_known_ones_keep_their_origin(
    driver: Driver,
) -> None:
    await driver.next()
    await driver.write("keywords", "Family, Paris, France, cat, nap")
    await driver.accept()

    kept = {k.text: k.origin for k in driver.made.written_choice("b.jpg").keywords}
    assert kept == {
        "Family": Origin.EXISTING,
        "Paris, France": Origin.EXISTING,
        "cat": Origin.MODEL,
        "nap": Origin.PERSON,
    }


async def rejected_image_can_be_accepted_after_all(driver: Driver) -> None:
    await driver.reject()
    await driver.undo()
    await driver.accept()

    assert driver.made.states()["a.jpg"] is ImageState.ACCEPTED


async def typed_filter_and_order_narrow_the_list_and_come_back(driver: Driver) -> None:
    await driver.next()
    await driver.search("state:ready -kw:boat")
    await driver.change_order()  # by name
    await driver.change_order()  # newest first; none has a date

    assert driver.listed() == ["b.jpg", "c.jpg", "d.jpg"]
    assert driver.current() == "b.jpg"
    await driver.accept()
    await driver.next()
    await driver.leave_and_return()
    assert driver.listed() == ["c.jpg", "d.jpg"]
    assert driver.current() == "d.jpg"
    assert driver.made.states()["b.jpg"] is ImageState.ACCEPTED


async def redo_does_again_what_was_undone(driver: Driver) -> None:
    await driver.write("caption", "My boat")
    await driver.accept()
    await driver.reject()
    await driver.undo()
    await driver.undo()
    await driver.redo()

    assert driver.made.states()["a.jpg"] is ImageState.ACCEPTED
    assert driver.made.written_choice("a.jpg").caption == "My boat"
    assert driver.made.states()["b.jpg"] is ImageState.SUGGESTED
    await driver.redo()
    assert driver.made.states()["b.jpg"] is ImageState.REJECTED


async def a_new_act_ends_what_could_be_done_again(driver: Driver) -> None:
    await driver.accept()
    await driver.undo()
    await driver.skip()
    await driver.redo()

    assert driver.made.states()["a.jpg"] is ImageState.SKIPPED


async def undo_outlives_the_session(driver: Driver) -> None:
    await driver.accept()
    await driver.reject()
    await driver.leave_and_return()
    await driver.undo()

    assert driver.current() == "b.jpg"
    assert driver.made.states()["b.jpg"] is ImageState.SUGGESTED
    await driver.redo()
    assert driver.made.states()["b.jpg"] is ImageState.REJECTED


async def marked_images_are_accepted_as_one_act(driver: Driver) -> None:
    await driver.mark()
    await driver.next()
    await driver.mark()
    await driver.accept_many()

    states = driver.made.states()
    assert states["a.jpg"] is states["c.jpg"] is ImageState.ACCEPTED
    assert states["b.jpg"] is states["d.jpg"] is ImageState.SUGGESTED
    assert driver.made.written_choice("c.jpg").caption == "A green hill"
    await driver.undo()
    assert driver.made.states()["a.jpg"] is ImageState.SUGGESTED
    assert driver.made.states()["c.jpg"] is ImageState.SUGGESTED
    await driver.redo()
    assert driver.made.states()["c.jpg"] is ImageState.ACCEPTED


async def marks_outlive_a_filter(driver: Driver) -> None:
    await driver.mark()
    await driver.search("kw:hill")
    await driver.mark_all()
    await driver.search("")
    await driver.reject_many()

    states = driver.made.states()
    rejected = [name for name, state in states.items() if state is ImageState.REJECTED]
    assert rejected == ["a.jpg", "c.jpg"]


async def without_marks_all_that_is_listed_and_to_review_is_decided(driver: Driver) -> None:
    await driver.next()
    await driver.skip()
    await driver.search("-kw:door")
    await driver.accept_many()

    assert driver.made.states() == {
        "a.jpg": ImageState.ACCEPTED,
        "b.jpg": ImageState.SKIPPED,
        "c.jpg": ImageState.ACCEPTED,
        "d.jpg": ImageState.SUGGESTED,
        "e.jpg": ImageState.DISCOVERED,
    }


async def a_draft_goes_with_its_image_into_an_act_on_many(driver: Driver) -> None:
    await driver.write("caption", "My boat")
    await driver.mark_all()
    await driver.accept_many()

    assert driver.made.written_choice("a.jpg").caption == "My boat"
    await driver.undo()
    await driver.next_undecided()
    while driver.current() != "a.jpg":
        await driver.next_undecided()
    assert driver.fields().caption == "My boat"


async def a_keyword_is_added_to_all_marked_and_taken_back_as_one(driver: Driver) -> None:
    await driver.mark()
    await driver.mark()
    await driver.add_to_many("coast")
    await driver.search("name:a.jpg")

    assert keyword_texts(driver) == ["boat", "sea", "coast"]
    await driver.search("name:b.jpg")
    assert keyword_texts(driver) == ["Family", "Paris, France", "cat", "sofa", "coast"]
    await driver.undo()
    await driver.search("name:a.jpg")
    assert keyword_texts(driver) == ["boat", "sea"]
    await driver.redo()
    await driver.accept()
    assert [k.text for k in driver.made.written_choice("a.jpg").keywords][-1] == "coast"


async def a_correction_is_put_right_in_the_others_as_one_act(driver: Driver) -> None:
    for name in ("f.jpg", "g.jpg"):
        driver.made.add(name, tags_of("A bird", ["boat", "bird"]))
    await driver.write("keywords", "dinghy, sea")
    await driver.accept()
    await driver.fix_others()
    await driver.search("name:g.jpg")

    assert keyword_texts(driver) == ["dinghy", "bird"]
    await driver.undo()
    assert keyword_texts(driver) == ["boat", "bird"]
    assert driver.made.states()["a.jpg"] is ImageState.ACCEPTED


async def a_burst_is_decided_as_one(driver: Driver) -> None:
    for image_id in (1, 2, 4):
        driver.made.add_look(image_id, perceptual_hash=0x0F0F_33CC_55AA_6699 + image_id % 2)
    await driver.accept_group()

    assert driver.made.written_choice("d.jpg").caption == "A red boat"
    own_words = driver.made.written_choice("b.jpg")
    assert own_words.caption == "Minka"
    assert [k.text for k in own_words.keywords] == ["Family", "Paris, France", "boat", "sea"]
    assert driver.made.states()["c.jpg"] is ImageState.SUGGESTED
    await driver.undo()
    assert driver.made.states()["a.jpg"] is ImageState.SUGGESTED
    assert driver.made.states()["d.jpg"] is ImageState.SUGGESTED


async def an_image_is_asked_about_again_with_a_hint(driver: Driver) -> None:
    await driver.ask_again("it is an osprey")

    ((kind, value),) = driver.made.library.session.take_wishes()
    assert kind == SUGGESTION_WISH
    assert SuggestionWish.from_value(value) == SuggestionWish(1, "it is an osprey")


STORIES = (
    redo_does_again_what_was_undone,
    a_new_act_ends_what_could_be_done_again,
    undo_outlives_the_session,
    marked_images_are_accepted_as_one_act,
    marks_outlive_a_filter,
    without_marks_all_that_is_listed_and_to_review_is_decided,
    a_draft_goes_with_its_image_into_an_act_on_many,
    a_keyword_is_added_to_all_marked_and_taken_back_as_one,
    a_correction_is_put_right_in_the_others_as_one_act,
    a_burst_is_decided_as_one,
    an_image_is_asked_about_again_with_a_hint,
    accept_two_edit_one_reject_one,
    accept_goes_to_the_next_image_to_review,
    undo_before_the_write_takes_the_decision_back_and_returns_to_it,
    undo_gives_back_what_was_typed,
    skip_leaves_the_image_without_a_write,
    filter_to_review_hides_what_is_decided,
    typed_filter_and_order_narrow_the_list_and_come_back,
    draft_survives_moving_away_and_a_new_session,
    new_session_starts_where_the_last_one_stopped,
    the_files_own_words_come_first_and_stay,
    the_models_words_can_take_the_place_of_the_files,
    typed_keywords_are_the_persons_and_known_ones_keep_their_origin,
    rejected_image_can_be_accepted_after_all,
)
