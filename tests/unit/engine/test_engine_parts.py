"""The engine's small parts: context facts, progress, lease, backends, write settings."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imageworks.cli.progress import LiveLine, PlainLines, duration, progress_line, progress_printer
from imageworks.config import CONTEXT_FACTS, PersonalTaggerConfig
from imageworks.engine.backends import open_engine, with_registry
from imageworks.engine.client import EngineClient
from imageworks.engine.context import context_facts
from imageworks.engine.lease import (
    FileLock,
    engine_lock,
    is_engine_alive,
    is_screen_open,
    screen_lock,
)
from imageworks.engine.progress import RateMeter
from imageworks.engine.writing import write_settings
from imageworks.errors import LibraryBusyError, StoreError, UsageError
from imageworks.models import ExistingMetadata
from imageworks.paths import app_paths
from imageworks.stages import CaptureFacts
from imageworks.store.library import Library
from imageworks.store.records import RunOptions

CAPTURE = CaptureFacts(
    taken_at=datetime(2024, 5, 1, 14, 30, tzinfo=UTC),
    camera="Nikon D70",
    lens="35 mm f/1.8",
    focal_length_mm=35,
)
EXISTING = ExistingMetadata(title="Old", keywords=("boat", "sea"), place="Lisbon, Portugal")


def test_context_holds_the_kinds_asked_for_and_no_others():
    path = Path("/photos/2024 Lisbon/a.jpg")

    everything = context_facts(CONTEXT_FACTS, path, CAPTURE, EXISTING)
    little = context_facts(("date",), path, CAPTURE, EXISTING)

    assert everything == {
        "existing title": "Old",
        "existing keywords": "boat, sea",
        "folder": "2024 Lisbon",
        "date": "01 May 2024, 14:30",
        "camera": "Nikon D70, 35 mm f/1.8, 35 mm",
        "place": "Lisbon, Portugal",
    }
    assert little == {"date": "01 May 2024, 14:30"}
    assert context_facts((), path, CAPTURE, EXISTING) == {}


def test_context_is_clean_and_short():
    facts = context_facts(
        ("folder", "existing"),
        Path("/photos/\x1b[31m\udcff/a.jpg"),
        CaptureFacts(),
        ExistingMetadata(title="x" * 900),
    )

    assert "\x1b" not in facts["folder"]
    assert len(facts["existing title"]) == 200


def test_the_rate_counts_the_last_images_and_falls_while_nothing_ends():
    now = [0.0]
    meter = RateMeter(lambda: now[0])
    assert meter.rate() == 0
    assert meter.eta_s(5) is None
    for _ in range(10):
        now[0] += 0.5
        meter.tick()

    assert meter.rate() == pytest.approx(2)
    assert meter.eta_s(10) == pytest.approx(5)
    now[0] += 5
    assert meter.rate() == pytest.approx(1)


def test_progress_in_one_line():
    totals = {"total": 400, "done": 120, "images_per_s": 3.2, "eta_s": 87.4, "failed": 2}

    assert progress_line(totals) == "120/400  3.2/s  1:27 left  2 failed"
    assert progress_line({"total": 4, "done": 2, "images_per_s": 0.1}, bar_width=4).startswith(
        "[##..]  2/4  6/min"
    )
    assert progress_line({"is_scanning": True}) == "0/0+"
    assert progress_line({"message": "a\x1b[2J"}) == "0/0  a\\x1b[2J"
    assert progress_line({}, waiting_for="another engine").endswith("waiting for another engine")
    assert duration(3 * 3600 + 7 * 60) == "3:07:00"


class Stream(io.StringIO):
    def __init__(self, *, is_terminal):
        super().__init__()
        self.text = ""
        self._is_terminal = is_terminal

    def write(self, text):
        self.text += text
        return len(text)

    def isatty(self):
        return self._is_terminal

    def fileno(self):
        raise OSError


def test_a_terminal_gets_a_live_line_and_a_pipe_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal, pipe = Stream(is_terminal=True), Stream(is_terminal=False)

    live = progress_printer(terminal, is_quiet=False)
    live.note_totals({"total": 2, "done": 1})
    live.finish()
    assert isinstance(live, LiveLine)
    assert terminal.text.startswith("\r\x1b[K[")
    assert terminal.text.endswith("\n")
    assert isinstance(progress_printer(pipe, is_quiet=False), PlainLines)
    quiet = progress_printer(terminal, is_quiet=True)
    quiet.note_totals({"total": 1})
    quiet.finish()
    assert terminal.text.count("\r") == 1


def test_plain_lines_come_every_ten_seconds():
    now = [0.0]
    stream = Stream(is_terminal=False)
    lines = PlainLines(stream, lambda: now[0])

    for _ in range(25):
        now[0] += 1
        lines.note_totals({"total": 9, "done": 1})

    assert stream.text == "1/9\n1/9\n"


def test_the_engine_lock_has_one_holder_and_dies_with_its_process(tmp_path):
    library = tmp_path / "library.sqlite3"
    code = (
        "import sys; from pathlib import Path; from imageworks.engine.lease import engine_lock;"
        "l = engine_lock(Path(sys.argv[1])); print(l.acquire(), flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(library)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"True\n"

    assert is_engine_alive(library)
    assert not engine_lock(library).acquire()
    with pytest.raises(LibraryBusyError), engine_lock(library):
        pass
    holder.kill()
    holder.communicate()
    assert not is_engine_alive(library)
    with engine_lock(library):
        assert is_engine_alive(library)


def test_several_screens_share_their_lock(tmp_path):
    library = tmp_path / "library.sqlite3"
    one, two = screen_lock(library), screen_lock(library)
    assert not is_screen_open(library)

    assert one.acquire()
    assert two.acquire()
    assert is_screen_open(library)
    one.release()
    assert is_screen_open(library)
    two.release()
    two.release()
    assert not is_screen_open(library)


def test_a_lock_that_cannot_be_made_is_one_clear_error(tmp_path):
    with pytest.raises(StoreError, match="cannot be made"):
        FileLock(tmp_path / "missing" / "x.lock").acquire()


def test_only_what_matters_to_a_write_counts_as_its_settings():
    one = PersonalTaggerConfig(model="a", max_keywords=3, sidecar="always")
    two = PersonalTaggerConfig(model="b", api_key="k", sidecar="always")

    assert write_settings(one) == write_settings(two)
    assert write_settings(one).sidecar == "always"


def registry(tmp_path, *entries):
    path = tmp_path / "registry.json"
    source = json.loads((Path(__file__).parents[3] / "configs/model_registry.json").read_text())
    source[next(key for key, value in source.items() if isinstance(value, list))] = list(entries)
    path.write_text(json.dumps(source))
    return path


def entry(name, url, *roles):
    return {
        "name": name,
        "backend": "vllm",
        "base_url": url,
        "roles": list(roles),
        "capabilities": ["vision"],
    }


def test_the_registry_fills_in_models_and_server(tmp_path):
    path = registry(
        tmp_path,
        entry("one", "http://h:1/v1", "caption", "description"),
        entry("two", "http://h:1/v1", "keywords"),
    )

    config = with_registry(PersonalTaggerConfig(use_registry=True, registry_path=path))

    assert config.models() == {"caption": "one", "keywords": "two", "description": "one"}
    assert (config.backend, config.base_url) == ("vllm", ("http://h:1/v1",))


def test_roles_on_different_servers_are_refused(tmp_path):
    path = registry(
        tmp_path,
        entry("one", "http://h:1/v1", "caption", "description"),
        entry("two", "http://h:2/v1", "keywords"),
    )

    with pytest.raises(UsageError, match="different servers"):
        with_registry(PersonalTaggerConfig(use_registry=True, registry_path=path))


async def test_auto_falls_back_to_the_builtin_engine():
    engine, config, budget = await open_engine(PersonalTaggerConfig(backend="auto"), app_paths())

    assert (engine.backend, config.backend) == ("builtin", "builtin")
    assert budget.long_edge_px == 1024
    await engine.aclose()


class QuietClient(EngineClient):
    started = 0

    def ensure_running(self):
        self.started += 1


def test_a_client_adds_batches_and_wishes(tmp_path):
    library = Library(tmp_path / "library.sqlite3")
    config = PersonalTaggerConfig(max_keywords=3, input_paths=(tmp_path,), review_later=True)
    client = QuietClient(library, config, tmp_path / "e.log")
    client.attach()
    assert is_screen_open(library.path)

    run = client.start_batch(config, RunOptions(limit=2))
    stored = PersonalTaggerConfig.from_json(run.config)
    client.request_scan([tmp_path])
    client.stop_batch(run)
    view = client.view()

    assert (stored.max_keywords, stored.review_later) == (3, True)
    assert run.options == RunOptions(limit=2, is_background=True)
    assert stored.input_paths == (tmp_path,)
    assert [kind for kind, _ in library.session.take_wishes()] == ["scan", "stop"]
    assert view.is_batch_active
    assert view.batch.name == run.name
    assert not view.is_alive
    assert view.totals == {}
    assert client.started == 3
    client.detach()
    assert not is_screen_open(library.path)
    library.close()
