from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.models import Keyword, Origin
from imageworks.review.keyword_line import Chip, KeywordLine
from imageworks.text import clean_keyword, fold

FAMILY = Keyword("Family", origin=Origin.EXISTING)
PARIS = Keyword("Paris, France", origin=Origin.EXISTING)
CAT = Keyword("cat", 0.9)
SOFA = Keyword("sofa")
LINE = KeywordLine.of([FAMILY, PARIS, CAT, SOFA])


def typed(line: KeywordLine, text: str) -> KeywordLine:
    for character in text:
        line = line.insert(character)
    return line


def kept(line: KeywordLine) -> list[str]:
    return [keyword.text for keyword in line.keywords()]


def shown(line: KeywordLine) -> list[str]:
    return [("" if chip.is_kept else "-") + chip.keyword.text for chip in line.chips]


def test_what_was_not_kept_is_shown_as_taken_out_where_it_was() -> None:
    line = KeywordLine.of([FAMILY, SOFA], [PARIS, FAMILY, CAT, SOFA])

    assert shown(line) == ["-Paris, France", "Family", "-cat", "sofa"]
    assert kept(line) == ["Family", "sofa"]


def test_half_typed_keyword_counts_and_is_not_a_chip_yet() -> None:
    line = typed(LINE, "sea eag")

    assert kept(line)[-1] == "sea eag"
    assert len(line.chips) == 4
    assert line.keywords()[-1].origin is Origin.PERSON


@pytest.mark.parametrize("end", [",", ";", "\n"])
def test_separator_ends_a_keyword(end: str) -> None:
    line = typed(LINE, f"heron{end} egret")

    assert kept(line)[-2:] == ["heron", "egret"]
    assert line.typed == "egret"


def test_comma_within_a_typed_word_splits_it() -> None:
    line = typed(LINE, "heronegret")

    assert kept(line.moved(-5).insert(","))[-2:] == ["heron", "egret"]


def test_keyword_of_the_file_with_a_comma_in_it_can_be_typed_again() -> None:
    line = typed(LINE.all_marked(), "Family, Paris, France, nap")

    assert line.keywords() == (FAMILY, PARIS, Keyword("nap", origin=Origin.PERSON))


def test_what_only_begins_like_such_a_keyword_is_split_after_all() -> None:
    assert kept(typed(LINE.all_marked(), "Paris, Berlin,")) == ["Paris", "Berlin"]


def test_pasted_list_becomes_chips() -> None:
    line = KeywordLine().paste("a lake, b;\tc\r\nd")

    assert shown(line) == ["a lake", "b", "c", "d"]
    assert line.typed == ""


def test_pasted_word_goes_on_with_what_is_typed() -> None:
    assert typed(KeywordLine().paste("sea"), " eagle").typed == "sea eagle"


def test_typed_keyword_goes_before_the_chip_under_the_cursor() -> None:
    line = typed(LINE.moved_to(1), "dog,")

    assert shown(line) == ["Family", "dog", "Paris, France", "cat", "sofa"]
    assert line.current == Chip(PARIS)


def test_known_keyword_is_not_doubled_but_put_back() -> None:
    line = LINE.moved_to(2).toggled()
    assert shown(line)[2] == "-cat"

    line = typed(line.end(), "CAT,")

    assert kept(line) == ["Family", "Paris, France", "sofa", "CAT"]
    assert len(line.chips) == 4


def test_own_spelling_takes_the_place_of_the_models_not_of_the_files() -> None:
    line = typed(LINE, "Sofa,FAMILY,")

    assert kept(line) == ["Family", "Paris, France", "cat", "Sofa"]


def test_toggle_twice_changes_nothing() -> None:
    line = LINE.moved_to(2)

    assert shown(line.toggled()) == ["Family", "Paris, France", "-cat", "sofa"]
    assert line.toggled().toggled() == line
    assert LINE.toggled() == LINE


def test_taking_out_leaves_a_trace_except_of_ones_own() -> None:
    line = typed(LINE, "mine,").backspace()
    assert shown(line) == ["Family", "Paris, France", "cat", "sofa"]

    line = line.backspace().backspace()
    assert shown(line) == ["Family", "Paris, France", "-cat", "-sofa"]
    assert line.cursor == 2

    line = line.home().delete()
    assert shown(line)[0] == "-Family"
    assert line.cursor == 1
    assert typed(KeywordLine(), "a,b,").home().delete().chips[0].keyword.text == "b"


def test_keys_at_the_edges_do_nothing() -> None:
    assert LINE.delete() == LINE.moved(5) == LINE.end()
    assert LINE.home().backspace() == LINE.home().moved(-3)
    text = typed(LINE, "ab").home()
    assert text.backspace() == text
    assert text.end().delete() == text.end()


def test_letters_are_corrected_at_the_caret() -> None:
    line = typed(LINE, "teh").moved(-1).backspace().end().insert("e")
    assert line.typed == "the"

    assert line.home().delete().typed == "he"


def test_chips_change_their_order_with_the_cursor() -> None:
    line = LINE.moved_to(3).shifted(-1)
    assert kept(line) == ["Family", "Paris, France", "sofa", "cat"]
    assert line.current == Chip(SOFA)

    assert kept(line.shifted(-9)) == ["sofa", "Family", "Paris, France", "cat"]
    assert kept(line.shifted(9)) == ["Family", "Paris, France", "cat", "sofa"]
    assert LINE.shifted(1).chips == LINE.chips


@pytest.mark.parametrize("key", ["backspace", "delete"])
def test_all_marked_chips_are_taken_out_by_one_key(key: str) -> None:
    line = getattr(typed(LINE, "own,").all_marked(), key)()

    assert kept(line) == []
    assert shown(line) == ["-Family", "-Paris, France", "-cat", "-sofa"]


def test_moving_unmarks() -> None:
    assert kept(typed(LINE.all_marked().moved(-1), "x")) != ["x"]


def test_completion_takes_the_place_of_what_is_typed() -> None:
    heron = Keyword("heron", origin=Origin.VOCABULARY, path=("animal", "bird", "heron"))
    line = typed(LINE, "her").committed(heron)

    assert line.keywords()[-1] == heron
    assert line.typed == ""


def test_keywords_put_in_as_a_whole_leave_the_others_as_taken_out() -> None:
    line = typed(LINE, "x").with_keywords([CAT, FAMILY])

    assert kept(line) == ["cat", "Family"]
    assert sorted(shown(line)) == sorted(["cat", "Family", "-Paris, France", "-sofa", "-x"])


def test_pasted_control_sequences_are_harmless() -> None:
    line = KeywordLine().paste("\x1b]0;owned\x07a,\u202eb")

    assert shown(line) == ["]0", "owned a", "b"]


STEPS = st.lists(
    st.one_of(
        st.text(max_size=6).map(lambda text: ("insert", text)),
        st.text(alphabet="ab ,;\n", max_size=8).map(lambda text: ("paste", text)),
        st.integers(-3, 3).map(lambda step: ("moved", step)),
        st.integers(-3, 3).map(lambda step: ("shifted", step)),
        st.integers(-1, 9).map(lambda place: ("moved_to", place)),
        st.sampled_from(["backspace", "delete", "home", "end", "toggled", "all_marked"]).map(
            lambda name: (name, None)
        ),
    ),
    max_size=20,
)


@given(STEPS)
def test_any_keys_leave_a_sound_line(steps: list[tuple[str, object]]) -> None:
    line = LINE
    for name, value in steps:
        step = getattr(line, name)
        line = step() if value is None else step(value)
        keys = [fold(chip.keyword.text) for chip in line.chips]
        assert len(set(keys)) == len(keys)
        assert 0 <= line.cursor <= len(line.chips)
        assert 0 <= line.caret <= len(line.typed)
        own = [k.text for k in line.keywords() if k.origin is Origin.PERSON]
        assert own == [clean_keyword(text) for text in own]
        assert "" not in own


@given(st.lists(st.text(alphabet="abcdefg h", min_size=1), max_size=6), st.integers(0, 4))
def test_no_typed_letter_is_lost(words: list[str], place: int) -> None:
    line = typed(LINE.moved_to(place), ",".join(words))

    wanted = {fold(clean_keyword(word)) for word in words} - {""}
    assert wanted <= {fold(text) for text in kept(line)}
