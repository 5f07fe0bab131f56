"""An XML document that can be edited without losing what is around the edit.

ElementTree forgets prefixes, where namespaces were declared, and all that stands outside the root
element. Here the standard library's expat builds the tree, so that all three survive, and start
tags come out as they were written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET
from xml.parsers import expat

from imageworks.metadata.namespaces import STANDARD_NAMESPACES, XML, is_foreign_binding
from imageworks.metadata.refusal import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DEPTH = 100
"""Deepest accepted nesting; real packets stay below 20."""
MAX_SIZE_BYTES = 32 * 1024 * 1024
"""Largest accepted document; the largest real ones are sidecars with brush masks, a few MB."""
# XML 1.0, productions 40 and 41: attribute values may hold ">".
_START_TAG = re.compile(rb"""<[^>"']+(?:"[^"]*"[^>"']*|'[^']*'[^>"']*)*>""")
_ATTRIBUTE = re.compile(r"""(\s+)([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")
_COMMENT: object = ET.Comment
_STANDARD_PREFIXES = {uri: prefix for prefix, uri in STANDARD_NAMESPACES.items()}


@dataclass(frozen=True, slots=True)
class StartTag:
    """A start tag as it was written.

    Attributes:
        text: All of it.
        values: The attributes' values by Clark name.
        keys: The attributes' Clark names by the names written.
    """

    text: str
    values: Mapping[str, str]
    keys: Mapping[str, str]

    @property
    def name(self) -> str:
        """The opening bracket and the element's name."""
        return re.split(r"[\s/>]", self.text, maxsplit=1)[0]

    @property
    def gap(self) -> str:
        """The white space before its end."""
        body = self.text.removesuffix(">").removesuffix("/")
        return body[len(body.rstrip()) :]

    @property
    def is_empty(self) -> bool:
        """Whether it ends its element at once."""
        return self.text.endswith("/>")


@dataclass(slots=True)
class XmlDocument:
    """A parsed document.

    Attributes:
        head: The bytes before the root element, verbatim.
        root: The root element; comments and processing instructions inside it are kept.
        tail: The bytes after the root element, verbatim.
        prefixes: The document's own prefix for each namespace URI.
        declared: The namespaces declared at an element, as (prefix, URI).
        tags: How an element's start tag was written.
    """

    head: bytes
    root: ET.Element
    tail: bytes
    prefixes: dict[str, str]
    declared: dict[ET.Element, list[tuple[str, str]]]
    tags: dict[ET.Element, StartTag]


def parse_xml(data: bytes) -> XmlDocument:
    """The document in these bytes.

    Raises:
        MetadataError: Not well-formed (``malformed-xmp``), not UTF-8 (``xmp-encoding``), with a DTD
            (``xmp-dtd``), or with a prefix that is bound twice or against the standard
            (``xmp-prefix``).
    """
    if len(data) > MAX_SIZE_BYTES:
        raise refusal(reason="xmp-too-large", because="its XMP is larger than 32 MB")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refusal(reason="xmp-encoding", because="its XMP is not in UTF-8") from error
    builder = _Builder()
    try:
        return builder.parse(data)
    except expat.ExpatError as error:
        because = f"its XMP is not well-formed ({error})"
        raise refusal(reason="malformed-xmp", because=because) from error


def serialise_xml(document: XmlDocument) -> bytes:
    """The document as UTF-8 bytes, its head and tail verbatim."""
    out: list[str] = []
    _write_element(document, document.root, {XML: "xml"}, out)
    return document.head + "".join(out).encode("utf-8") + document.tail


def is_element(node: ET.Element) -> bool:
    """Whether a node is an element rather than a comment or a processing instruction."""
    tag: object = node.tag
    return isinstance(tag, str)


class _Builder:
    """Turns expat's events into an `XmlDocument`."""

    def __init__(self) -> None:
        self._tree = ET.TreeBuilder(insert_comments=True, insert_pis=True)
        self._prefixes: dict[str, str] = {}
        self._uris: dict[str, str] = {}
        self._declared: dict[ET.Element, list[tuple[str, str]]] = {}
        self._tags: dict[ET.Element, StartTag] = {}
        self._data = b""
        self._pending: list[tuple[str, str]] = []
        self._depth = 0
        self._root_start = 0
        self._root_end = 0
        # "}" cannot occur in a URI (RFC 3986), so names split safely.
        self._parser = expat.ParserCreate("utf-8", namespace_separator="}")

    def parse(self, data: bytes) -> XmlDocument:
        self._data = data
        parser = self._parser
        parser.buffer_text = True
        parser.ordered_attributes = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartNamespaceDeclHandler = self._namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.CommentHandler = self._comment
        parser.ProcessingInstructionHandler = self._instruction
        parser.Parse(data, True)  # noqa: FBT003  # expat takes no keywords
        end = self._root_end
        if data.startswith(b"</", end):  # behind an empty root there is no end tag
            end = data.index(b">", end) + 1
        root = self._tree.close()
        head, tail = data[: self._root_start], data[end:]
        return XmlDocument(head, root, tail, self._prefixes, self._declared, self._tags)

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        del version, standalone
        if encoding is not None and encoding.lower() not in {"utf-8", "utf8", "us-ascii"}:
            raise refusal(reason="xmp-encoding", because="its XMP is not in UTF-8")

    def _doctype(self, *_: object) -> None:
        raise refusal(reason="xmp-dtd", because="its XMP has a document type declaration")

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        if not prefix or not uri:
            raise refusal(reason="xmp-prefix", because="its XMP uses a default namespace")
        if self._uris.setdefault(prefix, uri) != uri or is_foreign_binding(prefix, uri):
            because = "its XMP gives a namespace prefix an unusual meaning"
            raise refusal(reason="xmp-prefix", because=because)
        self._prefixes.setdefault(uri, prefix)
        self._pending.append((prefix, uri))

    def _start(self, name: str, attributes: Sequence[str]) -> None:
        if self._depth == 0:
            self._root_start = self._parser.CurrentByteIndex
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise refusal(reason="malformed-xmp", because="its XMP is nested too deeply")
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        values = {_clark(key): value for key, value in pairs}
        element = self._tree.start(_clark(name), values)
        self._tags[element] = self._start_tag(values)
        if self._pending:
            self._declared[element] = self._pending
            self._pending = []

    def _start_tag(self, values: dict[str, str]) -> StartTag:
        found = _START_TAG.match(self._data, self._parser.CurrentByteIndex)
        text = found[0].decode("utf-8") if found else ""
        names = [m[2] for m in _ATTRIBUTE.finditer(text) if not m[2].startswith("xmlns:")]
        if len(names) != len(values):
            raise refusal(reason="malformed-xmp", because="its XMP is written in an unusual way")
        return StartTag(text, values.copy(), dict(zip(names, values, strict=True)))

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._root_end = self._parser.CurrentByteIndex
        self._tree.end(_clark(name))

    def _text(self, text: str) -> None:
        self._tree.data(text)

    def _comment(self, text: str) -> None:
        if self._depth:
            self._tree.comment(text)

    def _instruction(self, target: str, text: str) -> None:
        if self._depth:
            self._tree.pi(target, text)


def _clark(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def _write_element(
    document: XmlDocument, element: ET.Element, scope: dict[str, str], out: list[str]
) -> None:
    if not is_element(element):
        out.append(_write_aside(element))
        return
    declared = document.declared.get(element, [])
    scope = {**scope, **{uri: prefix for prefix, uri in declared}}
    added: list[tuple[str, str]] = []
    names = {key: _qualified(key, document, scope, added) for key in (element.tag, *element.keys())}
    source = document.tags.get(element)
    if source is None:
        start = f"<{names[element.tag]}{_namespaces([*declared, *added], ' ')}"
        start += "".join(
            f' {names[key]}="{_escape(value, quote=True)}"' for key, value in element.items()
        )
    else:
        start = _edited_start(source, element, names, added)
    has_content = len(element) > 0 or bool(element.text)
    if not has_content and (source is None or source.is_empty):
        out.append(f"{start}/>")
        return
    out.append(f"{start}>{_escape(element.text or '')}")
    for child in element:
        _write_element(document, child, scope, out)
        out.append(_escape(child.tail or ""))
    out.append(f"</{names[element.tag]}>")


def _edited_start(
    source: StartTag, element: ET.Element, names: dict[str, str], added: list[tuple[str, str]]
) -> str:
    """The tag as it was written, with only the changed attributes changed; without its ``>``."""
    out = [source.name]
    written: set[str] = set()
    gap = " "
    for found in _ATTRIBUTE.finditer(source.text):
        gap, name = found[1], found[2]
        key = source.keys.get(name, "")
        if name.startswith("xmlns:"):
            out.append(found[0])
        elif key in element.attrib:
            value = element.attrib[key]
            is_kept = value == source.values[key]
            out.append(found[0] if is_kept else f'{gap}{name}="{_escape(value, quote=True)}"')
            written.add(key)
    out.append(_namespaces(added, gap))
    for key, value in element.items():
        if key not in written:
            out.append(f'{gap}{names[key]}="{_escape(value, quote=True)}"')
    out.append(source.gap)
    return "".join(out)


def _namespaces(declared: Sequence[tuple[str, str]], gap: str) -> str:
    return "".join(f'{gap}xmlns:{prefix}="{_escape(uri, quote=True)}"' for prefix, uri in declared)


def _write_aside(element: ET.Element) -> str:
    text = element.text or ""
    is_comment = element.tag is _COMMENT
    return f"<!--{text}-->" if is_comment else f"<?{text}?>"


def _qualified(
    name: str, document: XmlDocument, scope: dict[str, str], declared: list[tuple[str, str]]
) -> str:
    """``prefix:local``; declares the namespace at this element where it is not yet in scope."""
    if not name.startswith("{"):
        return name
    uri, _, local = name[1:].partition("}")
    if uri not in scope:
        prefix = document.prefixes.get(uri) or _STANDARD_PREFIXES[uri]
        document.prefixes[uri] = prefix
        scope[uri] = prefix
        declared.append((prefix, uri))
    return f"{scope[uri]}:{local}"


def _escape(text: str, *, quote: bool = False) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = text.replace("\r", "&#13;")
    if quote:
        text = text.replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")
    return text
