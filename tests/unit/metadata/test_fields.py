import pytest

from imageworks.errors import ConfigError
from imageworks.metadata.fields import field_mapping


def test_the_named_mappings_are_those_of_the_contract():
    ours, lightroom = field_mapping("imageworks"), field_mapping("lightroom")

    assert (ours.caption, ours.description) == (("dc:title",), ("dc:description",))
    assert lightroom.caption == ("dc:description", "Iptc4xmpCore:AltTextAccessibility")
    assert lightroom.description == ("Iptc4xmpCore:ExtDescrAccessibility",)


def test_a_table_names_its_own_properties():
    mapping = field_mapping({"caption": "photoshop:Headline", "alt_text": "dc:title"})

    assert mapping.caption == ("photoshop:Headline", "dc:title")
    assert mapping.description == ()


@pytest.mark.parametrize(
    "fields",
    [
        "other",
        {"title": "dc:title"},
        {"caption": "nope:Title"},
        {"caption": "dc:"},
        {"caption": "dc:a b"},
        {"caption": "rdf:about"},
        {"caption": "dc:subject"},
        {"caption": "xmp:MetadataDate"},
        {"caption": "Iptc4xmpExt:DigitalSourceType"},
        {"caption": "Iptc4xmpExt:AISystemUsed"},
        {"caption": "dc:title", "description": "dc:title"},
    ],
)
def test_a_mapping_that_makes_no_sense_is_a_config_error(fields):
    with pytest.raises(ConfigError):
        field_mapping(fields)
