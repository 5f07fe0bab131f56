"""Real image files, packets and requests for the tests of this room."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import strategies as st
from PIL import Image, ImageCms

from imageworks.config import PersonalTaggerConfig
from imageworks.content import content_id_of_file, sniff_format
from imageworks.errors import MetadataError
from imageworks.metadata import tiff
from imageworks.metadata.splice import apply_splices, invert_splices
from imageworks.metadata.writer import PersonalMetadataWriter
from imageworks.models import Keyword, Tags
from imageworks.stages import WriteRequest

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_HEADER = b"http://ns.adobe.com/xmp/extension/\0"


def picture(width=48, height=32, mode="RGB"):
    gradient = Image.linear_gradient("L").resize((width, height))
    return gradient.convert(mode)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def exif_bytes():
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = 6
    exif[0x8769] = {0x9003: "2026:05:01 10:20:30"}
    return exif.tobytes()


def icc_bytes():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encoded(image_format, image=None, **options):
    stream = io.BytesIO()
    (image or picture()).save(stream, image_format, **options)
    return stream.getvalue()


def make_file(folder, name, **options):
    formats = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF"}
    path = folder / name
    path.write_bytes(encoded(formats[path.suffix.lower()], **options))
    return path


def packet(body="", *, attributes="", namespaces="", tail='<?xpacket end="w"?>'):
    """A packet with one description; ``body`` stands inside it."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:lr="http://ns.adobe.com/lightroom/1.0/"'
        f" {namespaces} {attributes}>{body}</rdf:Description>"
        f"</rdf:RDF></x:xmpmeta>{tail}"
    ).encode()


def bag(name, *items, kind="Bag"):
    inner = "".join(f"<rdf:li>{item}</rdf:li>" for item in items)
    return f"<{name}><rdf:{kind}>{inner}</rdf:{kind}></{name}>"


def alternative(name, **languages):
    inner = "".join(
        f'<rdf:li xml:lang="{language.replace("_", "-")}">{text}</rdf:li>'
        for language, text in languages.items()
    )
    return f"<{name}><rdf:Alt>{inner}</rdf:Alt></{name}>"


def app_segment(marker, payload):
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def jpeg_with(*segments, image=None, **options):
    """A JPEG with these whole segments after its JFIF header."""
    data = encoded("JPEG", image, **options)
    at = 4 + int.from_bytes(data[4:6], "big")
    return data[:at] + b"".join(segments) + data[at:]


def xmp_segment(raw):
    return app_segment(0xE1, XMP_HEADER + raw)


def iptc_segment(*datasets):
    """A Photoshop block (APP13) with IPTC data sets ``(record, number, bytes)``."""
    iim = b"".join(
        struct.pack(">BBBH", 0x1C, record, number, len(value)) + value
        for record, number, value in datasets
    )
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iim)) + iim + b"\0" * (len(iim) % 2)
    return app_segment(0xED, b"Photoshop 3.0\0" + resource)


def mpf_segment(offset):
    """A picture index with a second picture at ``offset`` from its byte order mark."""
    entries = struct.pack("<IIIHH", 0x030000, 10, 0, 0, 0) + struct.pack(
        "<IIIHH", 0, 10, offset, 0, 0
    )
    directory = struct.pack("<HHHII", 1, 0xB002, 7, len(entries), 26) + struct.pack("<I", 0)
    return app_segment(0xE2, b"MPF\0" + b"II*\0" + struct.pack("<I", 8) + directory + entries)


def config(**settings):
    return PersonalTaggerConfig(**settings)


def writer(**settings):
    return PersonalMetadataWriter(config(**settings), clock=lambda: NOW)


def request(path, caption="A heron", keywords=("heron", "river"), description="It waits.", **more):
    made = tuple(k if isinstance(k, Keyword) else Keyword(k) for k in keywords)
    return WriteRequest(Path(path), Tags(caption, made, description), **more)


@st.composite
def damaged(draw, image_format):
    """A real file with XMP in it, some bytes of which are others, or its end gone."""
    data = bytearray(encoded(image_format, picture(4, 4)))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(8, len(data)) | st.just(len(data)))])


def done_or_refused(work):
    """What some work returns; None where it was refused, which has to be told."""
    refusal = None
    try:
        return work()
    except MetadataError as error:
        refusal = error
    assert refusal.reason
    assert refusal.message
    return None


def check_container(container, data):
    """A file is refused with a reason, or what is put into it is found and leads back."""
    raw = packet()

    def put():
        return (
            container.read_embedded(data),
            container.survivors(data),
            container.put_packet(data, raw),
        )

    done = done_or_refused(put)
    if done is None:
        return
    found, kept, splices = done
    new = apply_splices(data, splices)
    assert len(found.packets) <= 1
    assert container.read_embedded(new).packets == (raw,)
    # A damaged TIFF may point into its header or behind its end; the proof of a write refuses it.
    assert container.survivors(new) == kept or container is tiff
    assert apply_splices(new, invert_splices(data, splices)) == data


def rich(folder, name):
    return make_file(folder, name, exif=exif_bytes(), icc_profile=icc_bytes())


def unembeddable(folder, name="IMG.avif"):
    path = folder / name
    path.write_bytes(encoded("AVIF"))
    return path


def exiftool(path, *options):
    if not shutil.which("exiftool"):
        pytest.skip("exiftool is not here")
    command = ["exiftool", "-j", "-a", "-struct", *(options or ("-G1",)), str(path)]
    done = subprocess.run(command, capture_output=True, check=True)
    return json.loads(done.stdout)[0]


def reason_of(action):
    with pytest.raises(MetadataError) as caught:
        action()
    return caught.value.reason


def picture_id(path):
    image_format = sniff_format(path.read_bytes(), path.name)
    assert image_format is not None
    return content_id_of_file(path, image_format)
