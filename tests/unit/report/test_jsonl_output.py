from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imageworks.errors import StoreError
from imageworks.models import (
    DecisionMark,
    ImageState,
    Keyword,
    MetadataTarget,
    Origin,
    Stage,
    StageAnswer,
    Tags,
)
from imageworks.report.jsonl import JsonlWriter, json_line, record_to_json
from imageworks.stages import PersonalTaggerRecord

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def _record(number=0, **more):
    more.setdefault("image", Path(f"/photos/{number}.jpg"))
    return PersonalTaggerRecord(
        **{"state": ImageState.SUGGESTED, "run_id": "run-1", "created_at": NOON, **more}
    )


def _unmeasured():
    """The environment without coverage, whose own data file a kill or a full disk would break."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def _answer(stages, **more):
    return StageAnswer(stages, "m", "be brief", "what is it", "a dog", 1.25, **more)


def test_a_record_has_exactly_the_fields_of_the_contract_in_their_order():
    assert list(record_to_json(_record())) == [
        *("schema_version", "image", "content_id", "caption", "keywords", "description"),
        *("backend", "base_url", "models", "prompt_profile", "prompts", "responses", "timing"),
        *("tokens", "state", "decision", "metadata_written", "metadata_target", "notes"),
        *("duration_seconds", "run_id", "created_at"),
    ]


def test_a_full_record_says_everything():
    tags = Tags(
        "A heron",
        (
            Keyword("heron", 0.87, Origin.MODEL, ("animal", "heron")),
            Keyword("pond", None, Origin.PERSON),
        ),
        "It stands.",
    )
    record = _record(
        tags=tags,
        content_id="abc",
        backend="vllm",
        base_url="http://localhost:8000/v1",
        models={"caption": "m"},
        prompt_profile="default",
        answers=(
            _answer(
                (Stage.CAPTION,),
                ttft_s=0.5,
                longest_stall_s=0.125,
                prompt_tokens=900,
                completion_tokens=9,
            ),
            _answer((Stage.KEYWORDS, Stage.DESCRIPTION), longest_stall_s=2.5, prompt_tokens=950),
        ),
        timing_s={"prepare": 0.2, "caption": 9.0},
        decision=DecisionMark(
            "run", datetime(2026, 11, 22, 14, tzinfo=timezone(timedelta(hours=2)))
        ),
        is_metadata_written=True,
        metadata_target=MetadataTarget.SIDECAR,
        notes=("a note",),
        duration_s=2.5,
        state=ImageState.WRITTEN,
    )

    value = record_to_json(record)

    assert value["schema_version"] == "2.0"
    assert value["keywords"] == [
        {"keyword": "heron", "score": 0.87, "origin": "model", "hierarchy": ["animal", "heron"]},
        {"keyword": "pond", "score": None, "origin": "person"},
    ]
    assert value["prompts"]["description"] == {"system": "be brief", "user": "what is it"}
    assert set(value["responses"]) == {"caption", "keywords", "description"}
    assert value["timing"] == {
        "prepare": 0.2,
        "caption": 9.0,
        "keywords+description": 1.25,
        "ttft_s": 0.5,
        "stall_s": 2.5,
    }
    assert value["tokens"] == {"prompt": 1850, "completion": 9}
    assert value["decision"] == {"by": "run", "at": "2026-11-22T12:00:00Z"}
    assert (value["metadata_written"], value["metadata_target"]) == (True, "sidecar")
    assert value["created_at"] == "2026-11-22T12:00:00Z"


def test_what_is_not_known_is_null():
    value = record_to_json(_record(duration_s=float("nan"), timing_s={"infer": float("inf")}))

    assert value["tokens"] == {"prompt": None, "completion": None}
    assert value["decision"] is None
    assert value["metadata_target"] is None
    assert value["duration_seconds"] is None
    assert value["timing"] == {"infer": None}


def test_a_path_that_is_not_utf8_comes_back_byte_for_byte():
    path = Path(os.fsdecode(b"/photos/caf\xe9 \xff.jpg"))

    line = json_line(_record(image=path))

    assert os.fsencode(json.loads(line.decode("utf-8"))["image"]) == b"/photos/caf\xe9 \xff.jpg"
    assert b"\\udce9" in line


def test_a_line_is_one_line_for_every_reader():
    tags = Tags("a\nb\u2028c\u2029d\x85e\x7f\ud800", (), "é")

    line = json_line(_record(tags=tags)).decode("utf-8")

    assert len(line.splitlines()) == 1
    assert json.loads(line)["caption"] == tags.caption
    assert "é" in line


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text(), st.floats())
def test_any_text_makes_a_line_that_reads_back(caption, response, seconds):
    answer = StageAnswer((Stage.CAPTION,), "m", "", "", response, seconds)
    record = _record(tags=Tags(caption), answers=(answer,))

    value = json.loads(json_line(record))

    assert value["caption"] == caption
    assert value["responses"]["caption"] == response


def test_lines_are_there_as_soon_as_they_are_appended(tmp_path):
    path = tmp_path / "deep" / "out.jsonl"

    with JsonlWriter(path, fsync=True) as writer:
        for number in range(3):
            writer.append(_record(number))

            assert len(path.read_text("utf-8").splitlines()) == number + 1
        writer.close()


def test_a_torn_last_line_is_taken_away_and_said_so(tmp_path, caplog):
    path = tmp_path / "out.jsonl"
    whole = json_line(_record(1)) + json_line(_record(2))

    for cut in range(1, len(json_line(_record(3)))):
        path.write_bytes(whole + json_line(_record(3))[:cut])
        with caplog.at_level(logging.WARNING), JsonlWriter(path) as writer:
            writer.append(_record(4))

        lines = path.read_bytes().splitlines(keepends=True)
        images = [json.loads(line)["image"] for line in lines]
        if cut == len(json_line(_record(3))) - 1:  # only its line end was missing
            assert images[2] == "/photos/3.jpg"
            del images[2]
        assert images == ["/photos/1.jpg", "/photos/2.jpg", "/photos/4.jpg"]

    assert "torn line" in caplog.text


def test_zeros_of_a_lost_power_supply_are_taken_away(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(json_line(_record(1)) + b"\0" * 70_000)

    with JsonlWriter(path):
        pass

    assert path.read_bytes() == json_line(_record(1))


@pytest.mark.parametrize(
    "content", [b"\xff\xd8\xff\xe0 not ours \n\xff\xd9", b"notes\n", b"{\nnot ours", b'"text"']
)
def test_a_file_of_another_kind_is_refused_and_untouched(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)

    with pytest.raises(StoreError, match="holds something else") as caught:
        JsonlWriter(path)

    assert caught.value.reason == "foreign-file"
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["a.jpg", "a.CR2", "a.xmp"])
def test_a_photograph_is_never_taken_for_the_output(tmp_path, name):
    with pytest.raises(StoreError, match="named like a photograph"):
        JsonlWriter(tmp_path / name)

    assert not (tmp_path / name).exists()


def test_finished_images_are_known_after_a_kill(tmp_path):
    path = tmp_path / "out.jsonl"
    odd = Path(os.fsdecode(b"/photos/\xff.jpg"))
    with JsonlWriter(path) as writer:
        writer.append(_record(1))
        writer.append(_record(image=odd, run_id="run-2"))
    with path.open("ab") as stream:
        stream.write(b"[1]\nnull\n{}\nrubbish\n" + json_line(_record(3))[:40])

    with JsonlWriter(path) as writer:
        assert writer.finished_keys() == {("run-1", "/photos/1.jpg"), ("run-2", str(odd))}


def test_only_the_end_of_a_long_file_is_read(tmp_path):
    path = tmp_path / "out.jsonl"
    line = json_line(_record(tags=Tags(description="x" * 400)))
    path.write_bytes(b"".join(line.replace(b"/0.jpg", b"/%d.jpg" % n) for n in range(5000)))

    with JsonlWriter(path) as writer:
        keys = writer.finished_keys()

    assert len(keys) == 2000
    assert ("run-1", "/photos/4999.jpg") in keys
    assert ("run-1", "/photos/2999.jpg") not in keys


def test_a_pipe_is_only_written(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    with JsonlWriter(path, fsync=True) as writer:
        writer.append(_record(1))
        assert writer.finished_keys() == set()

    assert json.loads(os.read(reader, 100_000))["image"] == "/photos/1.jpg"
    os.close(reader)


def test_an_output_that_cannot_be_opened_names_itself(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match=r"file/out\.jsonl cannot be written"):
        JsonlWriter(tmp_path / "file" / "out.jsonl")
    with pytest.raises(StoreError, match="cannot be written"):
        JsonlWriter(tmp_path)


def test_an_error_while_healing_is_a_store_error(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(JsonlWriter, "_heal", fail)

    with pytest.raises(StoreError, match="Input/output error"):
        JsonlWriter(tmp_path / "out.jsonl")


def test_an_error_while_reading_back_is_a_store_error(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    with JsonlWriter(tmp_path / "out.jsonl") as writer:
        monkeypatch.setattr(JsonlWriter, "_last_bytes", fail)
        with pytest.raises(StoreError, match="Input/output error"):
            writer.finished_keys()


@pytest.mark.parametrize("taken_bytes", [0, 1, 100])
def test_a_disk_that_fills_up_in_a_line_leaves_whole_lines(tmp_path, monkeypatch, taken_bytes):
    path = tmp_path / "out.jsonl"
    real_write = os.write
    calls = []

    def write(descriptor, data):
        calls.append(len(data))
        if len(calls) == 1 and taken_bytes:
            return real_write(descriptor, data[:taken_bytes])
        raise OSError(28, "No space left on device")

    with JsonlWriter(path) as writer:
        writer.append(_record(1))
        monkeypatch.setattr(os, "write", write)
        with pytest.raises(StoreError, match=r"out\.jsonl cannot be written: No space left"):
            writer.append(_record(2))
        monkeypatch.undo()
        writer.append(_record(3))

    images = [json.loads(line)["image"] for line in path.read_bytes().splitlines()]
    assert images == ["/photos/1.jpg", "/photos/3.jpg"]


def test_a_full_disk_in_a_process_of_its_own_leaves_whole_lines(tmp_path):
    """A real full disk, by a limit on the file's size in a process of its own."""
    path = tmp_path / "out.jsonl"
    program = textwrap.dedent(
        """
        import resource, signal, sys
        from datetime import UTC, datetime
        from pathlib import Path
        from imageworks.errors import StoreError
        from imageworks.models import ImageState
        from imageworks.stages import PersonalTaggerRecord
        from imageworks.report.jsonl import JsonlWriter

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        with JsonlWriter(Path(sys.argv[1])) as writer:
            for number in range(9):
                image = Path(f"/photos/{number}.jpg")
                try:
                    writer.append(PersonalTaggerRecord(image, ImageState.FAILED, "r", moment))
                except StoreError as error:
                    print(number, error.message)
                    break
        """
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env=_unmeasured(),
    )

    count, message = done.stdout.split(" ", 1)
    assert "File too large" in message
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == int(count) > 0
    assert all(line.endswith(b"\n") and json.loads(line) for line in lines)


def test_a_kill_at_any_moment_leaves_a_file_that_goes_on(tmp_path):
    path = tmp_path / "out.jsonl"
    program = textwrap.dedent(
        """
        import sys
        from datetime import UTC, datetime
        from pathlib import Path
        from imageworks.models import ImageState, Tags
        from imageworks.stages import PersonalTaggerRecord
        from imageworks.report.jsonl import JsonlWriter

        moment = datetime(2026, 1, 1, tzinfo=UTC)
        tags = Tags(description="x" * 100_000)
        writer = JsonlWriter(Path(sys.argv[1]))
        for number in range(1_000_000):
            image = Path(f"/photos/{number}.jpg")
            writer.append(PersonalTaggerRecord(image, ImageState.FAILED, "r", moment, tags=tags))
            print(number, flush=True)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=_unmeasured(),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 20:
            break
    process.kill()
    process.communicate()

    with JsonlWriter(path) as writer:
        keys = writer.finished_keys()

    images = [json.loads(line)["image"] for line in path.read_bytes().splitlines()]
    assert len(images) > 20
    assert keys == {("r", image) for image in images}
    assert images == [f"/photos/{number}.jpg" for number in range(len(images))]
