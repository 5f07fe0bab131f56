"""Sidecars of other programs: every line that is not ours stays byte for byte."""

import difflib

import pytest

from imageworks.errors import MetadataError
from imageworks.metadata.splice import undo_splice, unpack_undo
from imageworks.models import MetadataTarget
from tests.unit.metadata.pictures import encoded, exiftool, request, writer

LIGHTROOM = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000 1.000000">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:my="urn:unknown:1"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
   xmp:Rating="3"
   exif:GPSTimeStamp="2026-05-01T08:20:30+02:00"
   exif:ExifVersion="0232"
   my:quote="it's &quot;quoted&quot; &amp; more"
   crs:Exposure2012="+0.35">
   <dc:format>image/avif</dc:format>
   <dc:description>
    <rdf:Alt>
     <rdf:li xml:lang="x-default">Old words</rdf:li>
     <rdf:li xml:lang="de-DE">Alte Worte</rdf:li>
    </rdf:Alt>
   </dc:description>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>river</rdf:li>
     <rdf:li my:certainty="0.9">owl</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <xmpMM:DerivedFrom rdf:resource="urn:uuid:1"/>
   <xmpMM:History>
    <rdf:Seq>
     <rdf:li stEvt:action="saved" stEvt:when="2026-05-01T10:00:00+02:00"/>
     <rdf:li rdf:parseType="Resource"><stEvt:action>derived</stEvt:action></rdf:li>
    </rdf:Seq>
   </xmpMM:History>
   <crs:MaskGroupBasedCorrections>
    <rdf:Seq>
     <rdf:li>
      <rdf:Description
       crs:What="Correction"
       crs:CorrectionAmount="1.000000">
      <crs:CorrectionMasks>
       <rdf:Seq>
        <rdf:li crs:What="Mask/Image" crs:MaskName="Sky"/>
        <rdf:li>
         <rdf:Description crs:What="Mask/Brush">
          <crs:Dabs>
           <rdf:Seq><rdf:li>d 0.1 0.2</rdf:li><rdf:li/><rdf:li></rdf:li></rdf:Seq>
          </crs:Dabs>
         </rdf:Description>
        </rdf:li>
       </rdf:Seq>
      </crs:CorrectionMasks>
      </rdf:Description>
     </rdf:li>
    </rdf:Seq>
   </crs:MaskGroupBasedCorrections>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""

DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:darktable="http://darktable.sf.net/"
   darktable:xmp_version="5"
   darktable:history_end="2">
   <darktable:masks_history>
    <rdf:Seq/>
   </darktable:masks_history>
   <darktable:multi_name>
    <rdf:Seq>
     <rdf:li/>
     <rdf:li>two</rdf:li>
     <rdf:li/>
    </rdf:Seq>
   </darktable:multi_name>
   <darktable:history>
    <rdf:Seq>
     <rdf:li
      darktable:num="0"
      darktable:operation="rawprepare"
      darktable:params="gz02eJxjYGBg"/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


def photograph(folder, sidecar, text):
    path = folder / "IMG.avif"
    path.write_bytes(encoded("AVIF"))
    beside = folder / sidecar
    beside.write_bytes(text.encode("utf-8"))
    return path, beside


def removed_lines(before, after):
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line[1:].strip() for line in lines if line.startswith("-") and line[:3] != "---"]


@pytest.mark.parametrize(("name", "text"), [("IMG.xmp", LIGHTROOM), ("IMG.avif.xmp", DARKTABLE)])
def test_no_line_that_is_not_ours_is_lost(tmp_path, name, text):
    path, beside = photograph(tmp_path, name, text)
    before = exiftool(beside, "-G1", "-u")

    outcome = writer().write(request(path))

    assert outcome.target_path == beside
    assert removed_lines(text, beside.read_text("utf-8")) == []
    after = exiftool(beside, "-G1", "-u")
    ours = ("XMP-dc:", "XMP-lr:", "XMP-xmp:MetadataDate", "System:", "SourceFile", "File:")
    assert {k: v for k, v in after.items() if not k.startswith(ours)} == {
        k: v for k, v in before.items() if not k.startswith(ours)
    }
    assert after["XMP-dc:Subject"][-1] == "heron" if text is LIGHTROOM else after["XMP-dc:Subject"]
    (undo,) = unpack_undo(outcome.undo)
    assert undo_splice(beside.read_bytes(), undo) == text.encode("utf-8")


def test_a_changed_text_changes_its_own_line_alone(tmp_path):
    path, beside = photograph(tmp_path, "IMG.xmp", LIGHTROOM)

    writer().write(request(path, "", (), "New words", is_description_edited=True))

    new = beside.read_text("utf-8")
    assert removed_lines(LIGHTROOM, new) == ['<rdf:li xml:lang="x-default">Old words</rdf:li>']
    assert '<rdf:li xml:lang="de-DE">Alte Worte</rdf:li>' in new


def test_a_keyword_with_a_qualifier_keeps_it(tmp_path):
    path, beside = photograph(tmp_path, "IMG.xmp", LIGHTROOM)

    writer().write(request(path, keywords=("heron",), removed_keywords=("river",)))

    new = beside.read_text("utf-8")
    assert '<rdf:li my:certainty="0.9">owl</rdf:li>' in new
    assert "<rdf:li>river</rdf:li>" not in new


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>'
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">&a;</x:xmpmeta>'
)
DEEP = '<x:xmpmeta xmlns:x="adobe:ns:meta/">' + "<x:a>" * 5000 + "</x:a>" * 5000 + "</x:xmpmeta>"


@pytest.mark.parametrize("text", [BOMB, OUTSIDE, DEEP, "", " ", "\0\0", "<a"])
def test_a_hostile_or_broken_sidecar_harms_nobody_and_stays(tmp_path, text):
    path, beside = photograph(tmp_path, "IMG.xmp", text)

    assert writer().read(path).keywords == ()
    with pytest.raises(MetadataError) as caught:
        writer().write(request(path))

    assert caught.value.reason == "sidecar-malformed"
    assert beside.read_text("utf-8") == text


def test_a_raw_and_its_jpeg_each_get_their_own(tmp_path):
    jpeg, raw = tmp_path / "IMG.JPG", tmp_path / "IMG.NEF"
    jpeg.write_bytes(encoded("JPEG"))
    raw.write_bytes(encoded("TIFF"))
    made = writer(sidecar="always")

    for path in (jpeg, raw):
        assert (
            made.write(request(path, keywords=(path.suffix[1:],))).target is MetadataTarget.SIDECAR
        )

    assert exiftool(tmp_path / "IMG.xmp")["XMP-dc:Subject"] == ["NEF"]
    assert exiftool(tmp_path / "IMG.JPG.xmp")["XMP-dc:Subject"] == ["JPG"]
    assert made.read(raw).keywords == ("NEF",)
