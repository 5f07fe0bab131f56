"""`ptag demo`: the whole loop on sample photographs, with the built-in engine, offline."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.config import PersonalTaggerConfig, PersonalTaggerSettings
from imageworks.errors import ExitStatus, UsageError
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    import argparse

    from imageworks.cli.app import Context

SAMPLES = (
    *("camera.png", "chelsea.png", "clock_motion.png", "coffee.png", "hubble_deep_field.jpg"),
    *("moon.png", "motorcycle_left.png", "rocket.jpg"),
)
"""Photographs that scikit-image's wheel ships: public domain or CC0 (its data/README.txt)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to put it."""
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="a new folder to use; default: a temporary one"
    )


def run(context: Context) -> int:
    """Copies the samples, tags them, and tells what was done and where it is."""
    folder = _new_folder(context.options.folder)
    photos = copy_samples(folder / "photos")
    before = {path: _content_id(path) for path in photos}
    write = sys.stdout.write
    write(f"{len(photos)} sample photographs in {show_path(folder / 'photos')}\n")
    write("Tagging them with the built-in classifier; no server, no network.\n\n")
    sys.stdout.flush()
    config = replace(
        PersonalTaggerConfig(),
        backend="builtin",
        input_paths=(folder / "photos",),
        store_path=folder / "library.sqlite3",
        output_jsonl=folder / "results.jsonl",
        summary_path=folder / "summary.md",
        metrics_path=folder / "metrics.json",
    )
    status = _run_batch(context, config)
    changed = [path for path in photos if _content_id(path) != before[path]]
    _show_results(folder)
    write(f"\nImage data unchanged in {len(photos) - len(changed)} of {len(photos)} files.\n")
    write(f"Photographs  {show_path(folder / 'photos')}\n")
    write(f"Results      {show_path(folder / 'results.jsonl')}\n")
    write(f"Summary      {show_path(folder / 'summary.md')}\n")
    write(f"Contact      {show_path(folder / 'summary.html')}\n")
    write(f"Look at them: ptag --store {show_path(folder / 'library.sqlite3')}\n")
    return int(ExitStatus.SOME_FAILED) if changed else status


def copy_samples(folder: Path) -> list[Path]:
    """Copies of the sample photographs.

    Raises:
        UsageError: The extra ``demo`` is not installed.
    """
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        message = "The sample photographs are not installed."
        raise UsageError(message, hint="pip install 'imageworks-personal-tagger[demo]'.")
    source = Path(spec.submodule_search_locations[0]) / "data"
    folder.mkdir(parents=True)
    return [Path(shutil.copyfile(source / name, folder / name)) for name in SAMPLES]


def _new_folder(wanted: Path | None) -> Path:
    if wanted is None:
        return Path(tempfile.mkdtemp(prefix="ptag-demo-"))
    folder = Path.cwd() / wanted
    if folder.exists() and any(folder.iterdir()):
        message = f"{show_path(folder)} is not empty."
        raise UsageError(message, hint="name a new folder.")
    return folder


def _run_batch(context: Context, config: PersonalTaggerConfig) -> int:
    from imageworks.cli.app import build_parser  # noqa: PLC0415  # this module is its part
    from imageworks.cli.run import Batch  # noqa: PLC0415
    from imageworks.store.library import Library  # noqa: PLC0415

    options = build_parser().parse_args(["run"])
    inner = replace(context, options=options, settings=PersonalTaggerSettings(), config=config)
    library = Library(inner.library_path)
    try:
        return Batch(library, config, inner).run()
    finally:
        library.close()


def _show_results(folder: Path) -> None:
    """What is in the library now, image by image."""
    from imageworks.store.library import Library  # noqa: PLC0415  # only when needed

    library = Library(folder / "library.sqlite3")
    run = library.runs.find("last")
    if run is not None:
        for record in library.outcomes.records(run.id):
            keywords = ", ".join(keyword.text for keyword in record.tags.keywords)
            caption = record.tags.caption or "(nothing recognised)"
            sys.stdout.write(f"{record.image.name:<24} {one_line(caption)}\n")
            sys.stdout.write(f"{'':<24} {one_line(keywords)}\n")
    library.close()


def _content_id(path: Path) -> str:
    from imageworks.content import content_id_of_file, sniff_format  # noqa: PLC0415

    with path.open("rb") as file:
        kind = sniff_format(file.read(4096), path.name)
    return content_id_of_file(path, kind) if kind is not None else ""
