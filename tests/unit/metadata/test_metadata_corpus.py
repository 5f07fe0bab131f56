"""Every file of the shared corpus, copied and written: proven, or refused and left as it was."""

import json
import shutil
import subprocess

import pytest

from imageworks.content import content_id, sniff_format
from imageworks.errors import MetadataError
from imageworks.metadata.iptc import cut
from imageworks.metadata.splice import undo_splice, unpack_undo
from imageworks.models import MetadataTarget
from tests.unit.metadata.pictures import request, writer

OURS = {
    "XMP-dc:Title",
    "XMP-dc:Description",
    "XMP-dc:Subject",
    "XMP-lr:HierarchicalSubject",
    "XMP-xmp:MetadataDate",
}
# The older block is kept in step where there is one; see `check_iptc`.
IN_STEP = {
    "IPTC:ObjectName",
    "IPTC:Keywords",
    "IPTC:Caption-Abstract",
    "IPTC:CodedCharacterSet",
    "File:CurrentIPTCDigest",
    "Photoshop:IPTCDigest",
}
# What tells of the packet itself, or is counted from the start of the file.
OF_THE_CONTAINER = {
    "RIFF:WebP_Flags",
    "File:FileType",
    "MPImage2:MPImageStart",
    "IFD1:StripOffsets",
    "IFD1:ThumbnailOffset",
    "File:LineCount",
    "File:WordCount",
}


def exiftool(paths):
    if not shutil.which("exiftool"):
        pytest.skip("exiftool is not here")
    command = ["exiftool", "-j", "-G1", "-a", "-u", "-q", "-q", "-struct", "-@", "-"]
    listed = "\n".join(map(str, paths)).encode()
    done = subprocess.run(command, input=listed, capture_output=True, check=False)
    found = {entry["SourceFile"]: entry for entry in json.loads(done.stdout or b"[]")}
    return [found.get(str(path), {}) for path in paths]


def written(folder, tmp_path, name):
    """Copies each file into a folder of its own and writes it; yields what changed."""
    for source in sorted(folder.iterdir()):
        home = tmp_path / source.name.replace(".", "_")
        home.mkdir()
        path = home / (name or source.name)
        if name:
            path.write_bytes(b"\0\0\0\x1cftypavif" + bytes(40))
        target = home / "IMG.xmp" if name else path
        target.write_bytes(source.read_bytes())
        try:
            outcome = writer(backup_originals=False).write(request(path))
        except MetadataError:
            assert target.read_bytes() == source.read_bytes()
            assert {p.name for p in home.iterdir()} == {path.name, target.name}
        else:
            check_outcome(outcome, source, path, target)
            if outcome.target_path == target:
                yield source, target


def check_outcome(outcome, source, path, target):
    before = source.read_bytes()
    if outcome.target_path == target:
        (undo,) = unpack_undo(outcome.undo)
        assert undo_splice(target.read_bytes(), undo) == before
    else:
        assert outcome.target is MetadataTarget.SIDECAR
        assert target.read_bytes() == before
    image_format = sniff_format(path.read_bytes()[:4096], path.name)
    if target is path:
        assert image_format is not None
        assert content_id(path.read_bytes(), image_format) == content_id(before, image_format)
    assert not writer().write(request(path)).is_changed


def check_iptc(before, after):
    """Whether the older block was changed: then it says what XMP says, and its digest is sound."""
    if before.get("File:CurrentIPTCDigest") == after.get("File:CurrentIPTCDigest"):
        return False
    keywords = after["XMP-dc:Subject"]
    assert after["IPTC:Keywords"][: len(keywords)] == [cut(k, 64).decode() for k in keywords]
    assert after["IPTC:ObjectName"] == cut(after["XMP-dc:Title"], 64).decode()
    caption = after["IPTC:Caption-Abstract"].replace("\r\n", "\n").replace("\r", "\n")
    assert caption.strip() == cut(after["XMP-dc:Description"], 2000).decode().strip()
    assert after["IPTC:CodedCharacterSet"] == "UTF8"
    was_current = before.get("Photoshop:IPTCDigest") == before["File:CurrentIPTCDigest"]
    is_current = after.get("Photoshop:IPTCDigest") == after["File:CurrentIPTCDigest"]
    assert is_current is was_current
    return True


@pytest.mark.parametrize(
    ("kind", "name", "at_least"),
    [
        ("photos", "", 80),
        ("awkward", "", 110),
        ("malformed", "", 50),
        ("sidecars", "IMG.avif", 17),
    ],
)
def test_no_file_of_the_corpus_loses_anything(corpus, tmp_path, kind, name, at_least):
    pairs = list(written(corpus / kind, tmp_path, name))

    assert len(pairs) >= at_least
    befores = exiftool([source for source, _ in pairs])
    afters = exiftool([target for _, target in pairs])
    for before, after in zip(befores, afters, strict=True):
        skipped = OURS | OF_THE_CONTAINER
        if check_iptc(before, after):
            skipped |= IN_STEP
        lost = {
            key
            for key in before.keys() | after.keys()
            if before.get(key) != after.get(key)
            and key not in skipped
            and not key.startswith(("System:", "SourceFile"))
        }
        assert lost == set(), after["SourceFile"]
        if "XMP-dc:Subject" in after:
            keywords = after["XMP-dc:Subject"]
            folded = {str(k).casefold() for k in keywords} if isinstance(keywords, list) else set()
            assert {"heron", "river"} <= folded
            assert after["XMP-dc:Title"]
            assert after["XMP-dc:Description"]
