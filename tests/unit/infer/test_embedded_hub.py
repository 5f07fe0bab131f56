"""Downloads from a hub: whole and proven, or a reason and a part that the next attempt goes on."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random

import pytest

from imageworks.errors import BackendError, StoreError, UsageError
from imageworks.infer.embedded_hub import (
    HubDownload,
    HubFile,
    HubModel,
    model_of_id,
    recommended_models,
)
from tests.support.model_hub import ModelHub

MODEL = random.Random(1).randbytes(3_000_000)
PROJECTOR = random.Random(2).randbytes(200_000)
CONTENT = {"m.gguf": MODEL, "p.gguf": PROJECTOR}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def hub_model(**changes):
    files = tuple(HubFile(name, len(data), sha256(data)) for name, data in CONTENT.items())
    values = {
        **dict.fromkeys(("id", "title", "advice", "licence"), "toy"),
        "repository": "o/r",
        "revision": "abc",
        "files": files,
    }
    return HubModel(**{**values, **changes})


@pytest.fixture
def hub():
    with ModelHub(dict(CONTENT)) as running:
        yield running


@pytest.fixture
def fetch(hub, tmp_path):
    """Fetches into a folder of the test's own."""

    def run(model=None, **more):
        options = {"environment": {"HF_ENDPOINT": hub.url}, "sleep": lambda _s: None, **more}
        return HubDownload(model or hub_model(), tmp_path / "models", **options).run()

    return run


def stored(tmp_path):
    paths = (tmp_path / "models").iterdir()
    return {p.name: p.read_bytes() for p in paths if p.name != ".download.lock"}


def test_files_are_whole_and_where_they_are_said_to_be(hub, fetch, tmp_path):
    paths = fetch()

    assert paths == (tmp_path / "models" / "m.gguf", tmp_path / "models" / "p.gguf")
    assert stored(tmp_path) == CONTENT
    assert hub.asked[0][:2] == ("HEAD", "/o/r/resolve/abc/m.gguf")


def test_progress_rises_to_the_whole(fetch):
    seen = []

    fetch(on_progress=lambda done, total: seen.append((done, total)))

    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (3_200_000, 3_200_000)
    assert len(seen) > 3


def test_what_is_there_is_not_fetched_again(hub, fetch, tmp_path):
    fetch()
    hub.asked.clear()

    fetch(free_bytes=lambda _folder: 0)

    assert hub.asked == []


def test_cut_download_goes_on_where_it_was(hub, fetch, tmp_path):
    hub.cuts = [1_000_000, 500_000]

    fetch()

    ranges = [wanted for method, path, wanted in hub.asked if method == "GET" and "m.gguf" in path]
    assert ranges == ["bytes=0-", "bytes=1000000-", "bytes=1500000-"]
    assert stored(tmp_path) == CONTENT


def test_next_attempt_goes_on_with_the_part_of_the_last(hub, fetch, tmp_path):
    hub.cuts = [700_000, *[0] * 9]
    with pytest.raises(BackendError) as caught:
        fetch()
    assert caught.value.reason == "connection-lost"
    assert "goes on" in caught.value.hint
    assert list(stored(tmp_path)) == ["m.gguf.part"]
    hub.cuts.clear()
    hub.asked.clear()

    fetch()

    assert next(asked for asked in hub.asked if asked[0] == "GET")[2] == "bytes=700000-"
    assert stored(tmp_path) == CONTENT


def test_hub_that_cannot_go_on_half_way_begins_again(hub, fetch, tmp_path):
    hub.cuts = [1_000_000]
    hub.takes_ranges = False

    fetch()

    assert stored(tmp_path) == CONTENT


def test_hub_that_learns_to_go_on_half_way_meanwhile_is_followed(hub, fetch, tmp_path):
    hub.cuts = [1_000_000, 800_000]
    hub.takes_ranges = False
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        hub.takes_ranges = len(pauses) > 1

    fetch(sleep=sleep)

    assert stored(tmp_path) == CONTENT
    assert hub.asked[3][2] == "bytes=800000-"


def test_answer_for_another_range_is_not_taken(hub, fetch, tmp_path):
    hub.cuts = [1_000_000]
    hub.range_shift = 7

    with pytest.raises(BackendError):
        fetch()

    assert stored(tmp_path)["m.gguf.part"] == MODEL[:1_000_000]


def test_busy_hub_is_asked_again(hub, fetch, tmp_path):
    fetch()
    (tmp_path / "models" / "m.gguf").unlink()

    original = hub.answer
    served: list[int] = []

    def answer(handler):
        if handler.command == "GET" and not served:
            served.append(1)
            hub.statuses.append(503)
        original(handler)

    hub.answer = answer
    fetch()

    assert stored(tmp_path) == CONTENT


def test_damaged_content_is_thrown_away(hub, fetch, tmp_path):
    hub.files["m.gguf"] = MODEL[:-1] + b"?"
    hub.etag = sha256(MODEL)

    with pytest.raises(BackendError, match="damaged") as caught:
        fetch()

    assert caught.value.reason == "bad-checksum"
    assert stored(tmp_path) == {}


def test_damaged_part_of_an_earlier_attempt_is_found_out(hub, fetch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.gguf.part").write_bytes(b"?" * 1000)
    with pytest.raises(BackendError):
        fetch()

    fetch()

    assert stored(tmp_path) == CONTENT


def test_part_that_is_too_long_is_begun_again(fetch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.gguf.part").write_bytes(b"?" * 3_000_001)

    fetch()

    assert stored(tmp_path) == CONTENT


@pytest.mark.parametrize("change", [{"etag": "0" * 64}, {"size": "7"}])
def test_other_file_of_that_name_is_refused_before_the_download(hub, fetch, tmp_path, change):
    for name, value in change.items():
        setattr(hub, name, value)

    with pytest.raises(BackendError, match="has another m") as caught:
        fetch()

    assert caught.value.reason == "other-file"
    assert [asked[0] for asked in hub.asked] == ["HEAD"]


def test_hub_that_sends_more_than_it_said_is_stopped(hub, fetch, tmp_path):
    hub.files["m.gguf"] = MODEL + b"more"
    hub.etag, hub.size = sha256(MODEL), str(len(MODEL))

    with pytest.raises(BackendError) as caught:
        fetch()

    assert caught.value.reason == "other-file"


def test_hubs_own_checksum_counts_where_none_is_known(hub, fetch, tmp_path):
    model = hub_model(files=tuple(HubFile(name, len(data)) for name, data in CONTENT.items()))

    fetch(model)

    assert stored(tmp_path) == CONTENT


def test_file_without_any_checksum_is_not_fetched(hub, fetch):
    hub.etag = ""
    model = hub_model(files=(HubFile("m.gguf", len(MODEL)),))

    with pytest.raises(BackendError) as caught:
        fetch(model)

    assert caught.value.reason == "no-checksum"


def test_known_checksum_suffices_where_the_hub_tells_none(hub, fetch, tmp_path):
    hub.etag = ""

    fetch()

    assert stored(tmp_path) == CONTENT


def test_file_that_the_hub_does_not_have_is_told(hub, fetch):
    del hub.files["m.gguf"]

    with pytest.raises(BackendError, match="404") as caught:
        fetch()

    assert caught.value.reason == "not-on-hub"


def test_hub_that_is_busy_from_the_start_is_told(hub, fetch):
    hub.statuses = [503]

    with pytest.raises(BackendError, match="503"):
        fetch()


def test_no_network_is_said_plainly(fetch, dead_url):
    with pytest.raises(BackendError, match="no network") as caught:
        fetch(environment={"HF_ENDPOINT": dead_url.removesuffix("/v1")})

    assert caught.value.reason == "no-network"


def test_network_that_goes_in_the_middle_is_said_plainly(hub, fetch, tmp_path):
    original = hub._tell

    def tell_and_leave(handler, content):
        original(handler, content)
        hub._server.socket.close()

    hub._tell = tell_and_leave

    with pytest.raises(BackendError) as caught:
        fetch()

    assert caught.value.reason == "no-network"


def test_disk_without_room_is_told_before_anything_is_asked(hub, fetch):
    with pytest.raises(StoreError, match=r"needs 0\.5 GB") as caught:
        fetch(free_bytes=lambda _folder: 3_000_000)

    assert caught.value.reason == "no-room"
    assert hub.asked == []


def test_disk_that_fills_up_keeps_the_part(hub, fetch, tmp_path):
    def full(_done, _total):
        raise OSError(28, os.strerror(28))

    with pytest.raises(StoreError, match="No space left") as caught:
        fetch(on_progress=full)

    assert caught.value.reason == "no-room"
    assert MODEL.startswith(stored(tmp_path)["m.gguf.part"])


def test_folder_that_cannot_be_made_is_told(fetch, tmp_path):
    (tmp_path / "models").write_text("a file")

    with pytest.raises(StoreError) as caught:
        fetch()

    assert caught.value.reason == "unwritable"


def test_second_download_into_a_folder_waits_outside(fetch, tmp_path):
    (tmp_path / "models").mkdir()
    with (tmp_path / "models" / ".download.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(StoreError) as caught:
            fetch()

    assert caught.value.reason == "busy"


def test_table_is_whole():
    models = recommended_models()

    assert len({model.id for model in models}) == len(models) >= 3
    for model in models:
        assert len(model.revision) == 40
        assert [len(file.sha256) for file in model.files] == [64, 64]
        assert model.files[1].name.startswith("mmproj")
        assert 1e9 < model.size_bytes < 8e9
        assert model.licence == "Apache-2.0"


def test_models_are_named_by_id():
    models = recommended_models()

    assert model_of_id(models[1].id.upper(), models) is models[1]
    with pytest.raises(UsageError, match=models[0].id):
        model_of_id("gpt", models)
