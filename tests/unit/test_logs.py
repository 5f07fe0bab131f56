"""The program's log: its level from the environment, and lines that no name can break."""

from __future__ import annotations

import logging

import pytest

from imageworks.errors import ConfigError
from imageworks.logs import LEVEL_VARIABLE, log_level, log_to_file


@pytest.mark.parametrize(
    ("word", "level"),
    [("", logging.INFO), (" ", logging.INFO), ("debug", logging.DEBUG), (" ERROR ", logging.ERROR)],
)
def test_the_environment_names_the_level(word, level):
    assert log_level({LEVEL_VARIABLE: word}, default=logging.INFO) == level
    assert log_level({}) == logging.WARNING


@pytest.mark.parametrize("word", ["LOUD", "10", "getLogger", "\x1b[2J"])
def test_another_word_is_refused_with_those_there_are(word):
    with pytest.raises(ConfigError) as caught:
        log_level({LEVEL_VARIABLE: word})

    assert LEVEL_VARIABLE in caught.value.message
    assert "\x1b" not in caught.value.message
    assert "DEBUG, INFO, WARNING, ERROR" in caught.value.hint


def test_names_and_errors_cannot_drive_the_terminal_that_shows_the_log(tmp_path):
    path = tmp_path / "state" / "screen.log"
    log_to_file(path, logging.INFO)
    logger = logging.getLogger("imageworks.test")

    logger.debug("not asked for")
    logger.info("a name: %s", "\x1b]0;title\x07.jpg\r\u202egpj")
    try:
        raise ValueError("\x1b[2J")  # noqa: TRY301, EM101  # its text is what is logged
    except ValueError:
        logger.exception("an error")

    text = path.read_text("utf-8")
    assert "not asked for" not in text
    assert not set(text) & set("\x1b\x07\r\u202e")
    assert [line for line in text.splitlines() if line.startswith("ValueError")]


def test_a_second_log_takes_the_place_of_the_first(tmp_path):
    log_to_file(tmp_path / "first.log", logging.INFO)
    log_to_file(tmp_path / "second.log", logging.INFO)

    logging.getLogger("imageworks.test").info("once")

    assert not (tmp_path / "first.log").exists()
    assert (tmp_path / "second.log").read_text("utf-8").count("once") == 1
