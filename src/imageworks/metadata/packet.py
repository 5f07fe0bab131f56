"""An XMP packet: its properties read and changed, everything else kept.

Source: XMP Specification Part 1 (2012), sections 6 (data model) and 7 (serialisation).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from imageworks.metadata.namespaces import META, RDF, XML, clark
from imageworks.metadata.refusal import refusal
from imageworks.metadata.xmltree import XmlDocument, is_element, parse_xml, serialise_xml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from imageworks.errors import MetadataError

_DESCRIPTION = f"{{{RDF}}}Description"
_LI = f"{{{RDF}}}li"
_VALUE = f"{{{RDF}}}value"
_ABOUT = f"{{{RDF}}}about"
_LANG = f"{{{XML}}}lang"
_CONTAINERS = {f"{{{RDF}}}{kind}" for kind in ("Bag", "Seq", "Alt")}
_UNUSUAL_FORMS = {f"{{{RDF}}}resource", f"{{{RDF}}}parseType", f"{{{RDF}}}datatype"}
_X_DEFAULT = "x-default"
# XMP Part 1, 7.3.2: the packet wrapper; the id is fixed.
_NEW_HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'.encode()
_NEW_TAIL = b'\n<?xpacket end="w"?>'
_NEW_BODY = (
    f'<x:xmpmeta xmlns:x="{META}">\n <rdf:RDF xmlns:rdf="{RDF}">\n'
    '  <rdf:Description rdf:about=""/>\n </rdf:RDF>\n</x:xmpmeta>'
).encode()
_PADDING = re.compile(rb"\s{2,}<\?xpacket end")


class XmpPacket:
    """A packet or sidecar as an editable tree; property names are written ``dc:title``."""

    def __init__(self, document: XmlDocument) -> None:
        self._document = document
        self._rdf = _find_rdf(document.root)
        self._descriptions = _find_descriptions(self._rdf)

    @classmethod
    def parse(cls, data: bytes) -> XmpPacket:
        """The packet in these bytes, padding dropped.

        Raises:
            MetadataError: See `parse_xml`; ``unusual-xmp``: XML, but not XMP as we know it.
        """
        document = parse_xml(data.rstrip(b"\0"))
        if _PADDING.match(document.tail):
            document.tail = b"\n" + document.tail.lstrip()
        return cls(document)

    @classmethod
    def new(cls) -> XmpPacket:
        """An empty packet in its wrapper."""
        return cls.parse(_NEW_HEAD + _NEW_BODY + _NEW_TAIL)

    def serialise(self) -> bytes:
        """The packet as UTF-8 bytes, without padding."""
        return serialise_xml(self._document)

    def items(self, name: str) -> tuple[str, ...]:
        """The texts of a list property in order, empty ones left out; () when it is absent."""
        found = self._find(name)
        if found is None:
            return ()
        value = found[1]
        texts = [value] if isinstance(value, str) else _item_texts(value)
        return tuple(text for text in texts if text.strip())

    def text(self, name: str) -> str:
        """A simple text, or the x-default of a language alternative; empty when absent."""
        found = self._find(name)
        if found is None:
            return ""
        value = found[1]
        if isinstance(value, str):
            return value
        container = _container(value)
        if container is None:
            return _simple_text(value)
        chosen = _default_item(container)
        return "" if chosen is None else _simple_text(chosen)

    def structs(self, name: str) -> Iterator[dict[str, str]]:
        """The structures of a list property: simple texts by Clark name."""
        found = self._find(name)
        if found is not None and isinstance(found[1], ET.Element):
            yield from _structs(found[1])

    def structs_in(self, tag: str) -> tuple[dict[str, str], ...]:
        """The structures of every list with this Clark name, however deep it stands."""
        lists = (element for top in self._descriptions for element in top.iter(tag))
        return tuple(fields for element in lists for fields in _structs(element))

    def set_items(self, name: str, items: Sequence[str], *, kind: str = "Bag") -> None:
        """Makes a list property hold exactly these texts; kept items keep their qualifiers."""
        found = self._find(name)
        if found is not None and self.items(name) == tuple(items):
            return
        if not items:
            self._remove(name)
            return
        kept: dict[str, list[ET.Element]] = {}
        for li in () if found is None or isinstance(found[1], str) else _list_items(found[1]):
            kept.setdefault(_simple_text(li), []).append(li)
        element = self._element(name)
        container = self._renewed(element, kind)
        for text in items:
            reusable = kept.get(text)
            container.append(reusable.pop(0) if reusable else _new_item(text))
        _indent(container, level=4)

    def set_text(self, name: str, text: str) -> None:
        """Makes a simple property hold this text; empty text removes it."""
        found = self._find(name)
        if not text:
            self._remove(name)
        elif found is not None and isinstance(found[1], str):
            found[0].set(clark(name), text)
        else:
            element = self._element(name)
            if len(element) or element.attrib.keys() & _UNUSUAL_FORMS:
                raise _unusual(name)
            element.text = text

    def set_default_language(self, name: str, text: str) -> None:
        """Makes x-default of a language alternative this text; other languages stay.

        Empty text removes the property in every language: what is cleared must read as empty.
        """
        if not text:
            self._remove(name)
            return
        found = self._find(name)
        items = [] if found is None or isinstance(found[1], str) else _list_items(found[1])
        replaced = [li for li in items if li.get(_LANG, _X_DEFAULT).lower() == _X_DEFAULT]
        others = [li for li in items if li not in replaced]
        if len(replaced) > 1 or any(len(li) for li in replaced):
            raise _unusual(name)
        first = replaced[0] if replaced else _new_item(text)
        first.text = text
        first.set(_LANG, _X_DEFAULT)
        container = self._renewed(self._element(name), "Alt")
        container.extend([first, *others])
        _indent(container, level=4)

    def foreign(self, managed: Collection[str]) -> list[object]:
        """All that is not in ``managed`` property names, in a form that compares by meaning.

        White space between elements, the order of attributes and prefixes do not count.
        """
        names = {clark(name) for name in managed}
        result: list[object] = []
        for description in self._descriptions:
            attributes = {k: v for k, v in description.attrib.items() if k not in names}
            if attributes.get(_ABOUT) == "":
                del attributes[_ABOUT]
            if attributes:
                result.append(sorted(attributes.items()))
            result += [_meaning(e) for e in _elements(description) if e.tag not in names]
        return result

    def _find(self, name: str) -> tuple[ET.Element, str | ET.Element] | None:
        """The rdf:Description that holds a property, and its attribute value or element."""
        key = clark(name)
        found: list[tuple[ET.Element, str | ET.Element]] = []
        for description in self._descriptions:
            if key in description.attrib:
                found.append((description, description.attrib[key]))
            found += [(description, element) for element in description.iterfind(key)]
        if len(found) > 1:
            raise refusal(reason="unusual-xmp", because=f"its XMP holds {name} more than once")
        return found[0] if found else None

    def _element(self, name: str) -> ET.Element:
        """The property as an element, made from an attribute or from nothing where needed."""
        found = self._find(name)
        if found is not None and isinstance(found[1], ET.Element):
            return found[1]
        if found is not None:
            del found[0].attrib[clark(name)]
        description = found[0] if found is not None else self._home(name)
        element = ET.Element(clark(name))
        if len(description):
            element.tail, description[-1].tail = description[-1].tail, "\n   "
        else:
            description.text, element.tail = "\n   ", "\n  "
        description.append(element)
        return element

    def _home(self, name: str) -> ET.Element:
        """Where a new property belongs: beside its namespace, else in the first description."""
        namespace = clark(name).partition("}")[0] + "}"
        for description in self._descriptions:
            names = [*description.attrib, *(e.tag for e in _elements(description))]
            if any(found.startswith(namespace) for found in names):
                return description
        if not self._descriptions:
            description = ET.SubElement(self._rdf, _DESCRIPTION, {_ABOUT: ""})
            self._rdf.text, description.tail = "\n  ", "\n "
            self._descriptions.append(description)
        return self._descriptions[0]

    def _renewed(self, element: ET.Element, kind: str) -> ET.Element:
        """An empty container of this kind as the property's only content."""
        old = _container(element)
        if old is None and (len(element) or element.attrib.keys() & _UNUSUAL_FORMS):
            raise _unusual(element.tag)
        declared = [] if old is None else self._document.declared.get(old, [])
        attributes = {} if old is None else dict(old.attrib)
        _drop_children(element)
        container = ET.SubElement(element, f"{{{RDF}}}{kind}", attributes)
        self._document.declared[container] = declared
        element.text, container.tail = "\n    ", "\n   "
        return container

    def _remove(self, name: str) -> None:
        found = self._find(name)
        if found is None:
            return
        description, value = found
        if isinstance(value, str):
            del description.attrib[clark(name)]
            return
        index = list(description).index(value)
        if index and index == len(description) - 1:
            description[index - 1].tail = value.tail
        description.remove(value)


def _find_rdf(root: ET.Element) -> ET.Element:
    if root.tag == f"{{{META}}}xmpmeta" and not len(root):
        ET.SubElement(root, f"{{{RDF}}}RDF")
    found = list(root.iter(f"{{{RDF}}}RDF"))
    if len(found) != 1 or (found[0] is not root and found[0] not in list(root)):
        raise refusal(reason="unusual-xmp", because="its XMP does not hold exactly one rdf:RDF")
    return found[0]


def _find_descriptions(rdf: ET.Element) -> list[ET.Element]:
    """The top-level nodes, all about one subject (XMP Part 1, 7.4)."""
    nodes = list(_elements(rdf))
    subjects = {node.get(_ABOUT, "") for node in nodes} - {""}
    if len(subjects) > 1 or any(node.tag != _DESCRIPTION for node in nodes):
        raise refusal(reason="unusual-xmp", because="its XMP describes more than the picture")
    return nodes


def _elements(parent: ET.Element) -> Iterator[ET.Element]:
    """The child elements without comments and processing instructions."""
    return (child for child in parent if is_element(child))


def _container(element: ET.Element) -> ET.Element | None:
    """The Bag, Seq or Alt of a property, or None for a simple one."""
    children = list(_elements(element))
    if all(child.tag not in _CONTAINERS for child in children):
        return None
    if len(children) != 1 or any(li.tag != _LI for li in _elements(children[0])):
        raise _unusual(element.tag)
    return children[0]


def _list_items(element: ET.Element) -> list[ET.Element]:
    container = _container(element)
    return [] if container is None else list(container.iterfind(_LI))


def _structs(element: ET.Element) -> Iterator[dict[str, str]]:
    container = _container(element)
    for li in () if container is None else container.iterfind(_LI):
        inner = li.find(_DESCRIPTION)
        node = li if inner is None else inner
        fields = {str(child.tag): (child.text or "").strip() for child in _elements(node)}
        yield {**node.attrib, **fields}


def _item_texts(element: ET.Element) -> list[str]:
    container = _container(element)
    nodes = [element] if container is None else container.iterfind(_LI)
    return [_simple_text(node) for node in nodes]


def _simple_text(element: ET.Element) -> str:
    """A node's text; with qualifiers it stands in rdf:value (XMP Part 1, 7.8)."""
    children = list(_elements(element))
    if not children and f"{{{RDF}}}resource" not in element.attrib:
        return element.text or ""
    value = element.find(_VALUE)
    if value is None or len(value):
        raise _unusual(element.tag)
    return value.text or ""


def _default_item(container: ET.Element) -> ET.Element | None:
    """The x-default item, else the first (XMP Part 1, 8.2.2.4)."""
    items = container.findall(_LI)
    chosen = [li for li in items if li.get(_LANG, "").lower() == _X_DEFAULT]
    return next(iter(chosen or items), None)


def _new_item(text: str) -> ET.Element:
    item = ET.Element(_LI)
    item.text = text
    return item


def _drop_children(element: ET.Element) -> None:
    for child in list(element):
        element.remove(child)


def _indent(container: ET.Element, *, level: int) -> None:
    container.text = "\n" + " " * (level + 1)
    for child in container:
        child.tail = container.text
    container[-1].tail = "\n" + " " * level


def _meaning(element: ET.Element) -> tuple[object, ...]:
    children = [_meaning(child) for child in _elements(element)]
    text = element.text or ""
    attributes = tuple(sorted(element.attrib.items()))
    return (element.tag, attributes, tuple(children) if children else text)


def _unusual(name: object) -> MetadataError:
    return refusal(reason="unusual-xmp", because=f"its XMP holds {name} in an unusual form")
