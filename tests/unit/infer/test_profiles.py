from __future__ import annotations

import os

import pytest

from imageworks.errors import UsageError
from imageworks.infer.profiles import PLACEHOLDER_PATTERN, PLACEHOLDERS, ProfileBook
from imageworks.models import Stage

PROFILE = """
description = "Mine."
long_edge_px = 1024
[limits]
caption_words = 15
description_sentences = 3
[prompts]
system = "S"
caption = "C {hint}"
keywords = "K"
description = "D"
combined = 'J {"caption": ""}'
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "profiles"


@pytest.fixture
def book(folder):
    folder.mkdir()
    return ProfileBook(folder)


def put(folder, name, text):
    path = folder / f"{name}.toml"
    path.write_text(text, "utf-8")
    return path


def error_of(book, name="mine"):
    with pytest.raises(UsageError) as caught:
        book.get(name)
    return caught.value


def test_built_in_profiles_are_listed_without_a_user_folder(folder):
    expected = ("alt_text", "careful", "default", "detail", "narrative_v2", "phototools_prompt")

    assert ProfileBook().names() == expected
    assert ProfileBook(folder).names() == expected


@pytest.mark.parametrize("name", ProfileBook().names())
def test_built_in_profile_asks_every_stage_with_context_and_hint(name):
    profile = ProfileBook().get(name)

    for prompt in (*(profile.prompts[stage] for stage in Stage), profile.combined):
        found = set(PLACEHOLDER_PATTERN.findall(prompt))
        assert {"context", "hint"} <= found <= PLACEHOLDERS
    assert "{language}" in profile.system
    assert "JSON" in profile.combined
    assert "at least" not in "".join(profile.prompts.values()) + profile.combined


def test_default_profile_keeps_answers_short():
    profile = ProfileBook().get("default")

    assert (profile.caption_words, profile.description_sentences) == (15, 3)
    assert profile.long_edge_px == 1024


def test_unknown_name_lists_what_there_is(book):
    error = error_of(book, "defualt")

    assert error.reason == "no-profile"
    assert "defualt" in error.message
    assert "did you mean default?" in error.hint
    assert "narrative_v2" in error.hint


@pytest.mark.parametrize("name", ["", "../default", "a/b", "\x1b[2J", "default.toml"])
def test_odd_name_is_unknown_and_shown_harmless(book, name):
    error = error_of(book, name)

    assert error.reason == "no-profile"
    assert "\x1b" not in error.message


def test_users_profile_is_found_beside_the_built_in_ones(book, folder):
    put(folder, "mine", PROFILE)

    assert "mine" in book.names()
    assert book.is_users("mine")
    assert not book.is_users("default")
    assert book.get("mine").prompts[Stage.CAPTION] == "C {hint}"


def test_users_file_wins_over_the_built_in_of_the_same_name(book, folder):
    put(folder, "default", PROFILE)

    assert book.get("default").system == "S"
    assert book.names().count("default") == 1


def test_changed_file_is_read_again(book, folder):
    path = put(folder, "mine", PROFILE)
    before = book.get("mine")

    path.write_text(PROFILE.replace('"S"', '"T"'), "utf-8")
    os.utime(path, ns=(1, 1))

    assert before.system == "S"
    assert book.get("mine").system == "T"


def test_unchanged_file_is_not_read_again(book, folder):
    put(folder, "mine", PROFILE)

    assert book.get("mine") is book.get("mine")


def test_removed_users_file_uncovers_the_built_in_one(book, folder):
    path = put(folder, "default", PROFILE)
    assert book.get("default").system == "S"

    path.unlink()

    assert book.get("default").system != "S"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("caption_words = 15", "caption_words = 0", "limits.caption_words is 0"),
        ("caption_words = 15", "caption_words = true", "limits.caption_words is True"),
        ("caption_words = 15", "caption_words = 15.0", "limits.caption_words is 15.0"),
        ("caption_words = 15", "", "limits.caption_words is missing"),
        ("long_edge_px = 1024", "long_edge_px = 9999", "long_edge_px is 9999"),
        ('system = "S"', "", "prompts.system is missing"),
        ('system = "S"', "system = 3", "prompts.system is not a text"),
        ('system = "S"', 'system = "  "', "prompts.system is not a text, or an empty one"),
        ('keywords = "K"', 'keywords = "{max_keyword}"', "unknown placeholder {max_keyword}"),
        ('keywords = "K"', 'keywords = "K"\nkeyword = "x"', "the key prompts.keyword is unknown"),
        ('description = "Mine."', 'descripton = "Mine."', "the key descripton is unknown"),
        ("[limits]\n", "limits = 3\n[limit]\n", "limits is unknown"),
    ],
)
def test_wrong_file_is_named_with_its_key(book, folder, old, new, named):
    path = put(folder, "mine", PROFILE.replace(old, new, 1))

    error = error_of(book)

    assert error.reason == "profile-wrong"
    assert named in error.message
    assert str(path) in error.message
    assert error.hint


def test_unknown_key_names_the_nearest(book, folder):
    put(folder, "mine", PROFILE.replace("long_edge_px", "long_edge"))

    assert "did you mean long_edge_px?" in error_of(book).hint


@pytest.mark.parametrize(
    "data", [b"description = ", b"\xff\xfe", b"x = " + b"[" * 5000, b"#" * 300_000]
)
def test_unreadable_text_is_an_error_of_the_person_not_a_crash(book, folder, data):
    (folder / "mine.toml").write_bytes(data)

    error = error_of(book)

    assert error.reason == "profile-wrong"
    assert "mine.toml" in error.message


def test_folder_in_the_place_of_a_file_is_an_error_that_names_it(book, folder):
    (folder / "mine.toml").mkdir()

    assert error_of(book).reason == "profile-unreadable"


def test_dangling_link_is_an_error_that_names_it(book, folder):
    (folder / "mine.toml").symlink_to(folder / "nothing")

    assert error_of(book).reason == "profile-unreadable"


def test_file_in_the_place_of_the_folder_is_an_error_that_names_it(folder):
    folder.write_text("")

    with pytest.raises(UsageError, match="cannot be read"):
        ProfileBook(folder).names()


def test_copy_is_the_built_in_file_and_wins_from_then_on(folder):
    book = ProfileBook(folder)

    path = book.copy_to_user("default")

    assert path == folder / "default.toml"
    assert path.read_text("utf-8") == ProfileBook().text("default") == book.text("default")
    assert book.is_users("default")
    assert book.get("default").source == str(path)


def test_copy_never_overwrites_what_a_person_wrote(book, folder):
    path = put(folder, "default", PROFILE)

    with pytest.raises(UsageError, match="exists already"):
        book.copy_to_user("default")

    assert path.read_text("utf-8") == PROFILE


def test_copy_of_an_unknown_profile_lists_the_built_in_ones(book):
    with pytest.raises(UsageError) as caught:
        book.copy_to_user("mine")

    assert "default" in caught.value.hint


def test_copy_without_a_folder_says_so():
    with pytest.raises(UsageError, match="no folder"):
        ProfileBook().copy_to_user("default")


def test_copy_into_an_impossible_place_says_which(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="cannot be written"):
        ProfileBook(tmp_path / "file" / "profiles").copy_to_user("default")


def test_name_and_place_do_not_change_an_answer_but_the_words_do(book, folder):
    put(folder, "mine", PROFILE)
    put(folder, "other", PROFILE.replace("Mine.", "Another."))
    put(folder, "changed", PROFILE.replace('"K"', '"K!"'))

    mine = book.get("mine").answer_changing_parts()

    assert book.get("other").answer_changing_parts() == mine
    assert book.get("changed").answer_changing_parts() != mine


def test_a_profile_may_ask_for_keywords_several_times():
    profiles = {name: ProfileBook().get(name) for name in ("default", "careful")}

    assert {name: profile.keyword_samples for name, profile in profiles.items()} == {
        "default": 1,
        "careful": 3,
    }
    parts = {profile.answer_changing_parts() for profile in profiles.values()}
    assert len(parts) == 2
