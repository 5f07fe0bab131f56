"""The library's file: what is refused, migrations, several programs, what survives a power cut."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from imageworks.errors import StoreError
from imageworks.models import ImageFormat, ImageState
from imageworks.stages import DiscoveredImage
from imageworks.store import library as library_module
from imageworks.store.library import Library
from imageworks.store.schema import MIGRATIONS

FOUND = DiscoveredImage(Path("/photos/a.jpg"), ImageFormat.JPEG, 10, 20, 3)


def test_a_failed_transaction_leaves_nothing(library):
    def fail():
        with library.transaction():
            library.images.record_found(FOUND)
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # our own
        fail()

    assert library.images.ids() == []


def test_another_process_notices_a_change(library, tmp_path):
    other = Library(library.path)
    before = other.data_version()

    library.images.record_found(FOUND)

    assert other.data_version() != before
    other.close()


def test_a_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "other.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t(x)")
    connection.commit()
    connection.close()

    with pytest.raises(StoreError, match="another program"):
        Library(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "damaged.sqlite3"
    path.write_bytes(b"this is not a database, but long enough to be read as one" * 20)

    with pytest.raises(StoreError, match="damaged or not a library"):
        Library(path)


def test_a_newer_library_is_refused(library):
    library.connection.execute("PRAGMA user_version=99")

    with pytest.raises(StoreError, match="newer version"):
        Library(library.path)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="cannot be made"):
        Library(tmp_path / "file" / "library.sqlite3")


def test_a_folder_as_library_is_one_clear_error(tmp_path):
    with pytest.raises(StoreError, match="cannot be used"):
        Library(tmp_path)


def test_too_old_sqlite_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(library_module, "OLDEST_SQLITE", (99, 0, 0))

    with pytest.raises(StoreError, match="too old"):
        Library(tmp_path / "l.sqlite3")


def test_a_migration_keeps_a_copy_of_the_old_library(tmp_path, monkeypatch):
    path = tmp_path / "library.sqlite3"
    first = Library(path)
    first.images.record_found(FOUND)
    first.close()
    migrations = (*MIGRATIONS, "ALTER TABLE image ADD COLUMN extra TEXT;\n")
    monkeypatch.setattr(library_module, "MIGRATIONS", migrations)

    second = Library(path)

    assert second.images.counts() == {ImageState.DISCOVERED: 1}
    assert second.connection.execute("SELECT extra FROM image").fetchone()[0] is None
    copy = sqlite3.connect(tmp_path / "library.sqlite3.v1.bak")
    assert copy.execute("SELECT count(*) FROM image").fetchone()[0] == 1
    copy.close()
    second.close()


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "library.sqlite3"
    Library(path).close()
    broken = (*MIGRATIONS, "CREATE TABLE extra(x);\nALTER TABLE none ADD y;\n")
    monkeypatch.setattr(library_module, "MIGRATIONS", broken)
    with pytest.raises(StoreError):
        Library(path)
    monkeypatch.undo()

    again = Library(path)

    tables = again.connection.execute("SELECT name FROM sqlite_master WHERE name='extra'")
    assert tables.fetchall() == []
    again.close()


def test_a_locked_library_is_named(library, monkeypatch):
    other = sqlite3.connect(library.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    library.connection.execute("PRAGMA busy_timeout=10")

    with pytest.raises(StoreError, match="locked"):
        library.session.remember("a", "b")
    other.rollback()
    other.close()


def test_programs_that_open_a_new_library_at_once_all_succeed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from imageworks.store.library import Library;"
        "print(flush=True); sys.stdin.readline(); Library(Path(sys.argv[1])).close()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "library.sqlite3")]
    pipe = subprocess.PIPE
    programs = [
        subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(8)
    ]
    for program in programs:
        assert program.stdout is not None
        program.stdout.readline()  # ready

    for program in programs:
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()

    assert [program.communicate(timeout=60)[1] for program in programs] == [""] * 8


def test_only_what_must_survive_a_power_cut_waits_for_the_disk(library):
    waits = []
    for is_durable in (False, True, True, False, True, False):
        with library.transaction(is_durable=is_durable) as connection:
            waits.append(connection.execute("PRAGMA synchronous").fetchone()[0] == 2)  # FULL

    assert waits == [False, True, True, False, True, False]


def test_an_engine_reads_the_library_without_mapping_it(library):
    mapped = Library(library.path)
    plain = Library(library.path, mapped_bytes=0)

    sizes = [each.connection.execute("PRAGMA mmap_size").fetchone()[0] for each in (mapped, plain)]

    assert sizes[0] > 0
    assert sizes[1] == 0
    mapped.close()
    plain.close()
