"""The rules of *merge if different* (contract, section 7): pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.metadata.refusal import refusal
from imageworks.text import clean_text, fold, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imageworks.errors import MetadataError
    from imageworks.models import Keyword, Tags

_NOT_IN_A_KEYWORD = frozenset(",;|/<>")
LIGHTROOM_SEPARATOR = "|"
DIGIKAM_SEPARATOR = "/"


def merge_text(existing: str, accepted: str, *, is_edited: bool, is_overwrite: bool) -> str:
    """What a text field holds afterwards: an existing text stays unless a person changed it."""
    if is_edited:
        return accepted
    if not accepted:
        return existing
    return accepted if is_overwrite or not existing.strip() else existing


def merge_keywords(
    existing: Sequence[str],
    accepted: Sequence[str],
    removed: Iterable[str],
    *,
    is_overwrite: bool,
) -> tuple[str, ...]:
    """What the keyword list holds afterwards: existing first, as spelled, then the new ones.

    With ``is_overwrite`` the accepted ones replace the rest; an empty list replaces nothing. Twins
    alone are no reason to change a file, so existing ones go only when something else changes.
    """
    gone = {fold(text) for text in removed}
    replaces = is_overwrite and bool(accepted)
    candidates = (*accepted,) if replaces else (*existing, *accepted)
    merged = [text for text in _without_twins(candidates) if fold(text) not in gone]
    if merged == _without_twins(existing):
        return tuple(existing)
    return tuple(merged)


def merge_paths(
    existing: Sequence[str], keywords: Sequence[str], paths: Sequence[str], separator: str
) -> tuple[str, ...]:
    """The hierarchical list that says what ``keywords`` says.

    Existing entries stay. Keywords whose last level is not yet in it follow, by their path where
    one is given.

    Args:
        existing: The list as it is.
        keywords: The flat keywords as they will be.
        paths: New paths, from the broadest term down, levels joined by ``separator``.
        separator: What stands between two levels.
    """
    path_of_leaf = {fold(path.rpartition(separator)[2]): path for path in paths}
    result = list(existing)
    present = {fold(entry.rpartition(separator)[2]) for entry in result}
    for keyword in keywords:
        leaf = fold(keyword)
        entry = path_of_leaf.get(leaf, keyword)
        if leaf in present or (entry == keyword and separator in keyword):
            continue
        result.append(entry)
        present.add(leaf)
    return tuple(result)


def without_leaves(entries: Sequence[str], gone: Iterable[str], separator: str) -> tuple[str, ...]:
    """Hierarchical entries except those whose last level is in ``gone``."""
    leaves = {fold(text) for text in gone}
    return tuple(e for e in entries if fold(e.rpartition(separator)[2]) not in leaves)


def lost_keywords(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """The keywords that are no longer there, compared with `text.fold`."""
    kept = {fold(text) for text in after}
    return tuple(text for text in before if fold(text) not in kept)


def check_tags(tags: Tags, existing: Sequence[str], *, is_overwrite: bool) -> None:
    """Lets only text through that will be written exactly as it was shown.

    Keywords that the file already holds may be spelled in any way.

    Raises:
        MetadataError: ``unsafe-text``.
    """
    known = set(existing)
    folded = set() if is_overwrite else {fold(text) for text in existing}
    for keyword in tags.keywords:
        if keyword.text not in known:
            _check_keyword(keyword.text, is_known=fold(keyword.text) in folded)
        for level in keyword.path:
            _check_keyword(level, is_known=level in known)
    if clean_text(tags.caption) != tags.caption:
        raise _unsafe(field="caption", text=tags.caption)
    if clean_text(tags.description, keep_newlines=True) != tags.description:
        raise _unsafe(field="description", text=tags.description)


def accepted_path(keyword: Keyword, separator: str) -> str:
    """The keyword's path as one hierarchical entry; empty when it is flat or ends elsewhere."""
    if not keyword.path or fold(keyword.path[-1]) != fold(keyword.text):
        return ""
    return separator.join(keyword.path)


def _check_keyword(text: str, *, is_known: bool) -> None:
    is_clean = bool(text) and clean_text(text) == text and not _NOT_IN_A_KEYWORD & set(text)
    if not is_clean and not is_known:
        raise _unsafe(field="keyword", text=text)


def _unsafe(*, field: str, text: str) -> MetadataError:
    because = f"the {field} “{one_line(text, limit=80)}” holds characters that must not be written"
    return refusal(
        reason="unsafe-text", because=because, hint=f"edit the {field}, then accept it again."
    )


def _without_twins(texts: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    result = []
    for text in texts:
        form = fold(text)
        if form and form not in seen:
            seen.add(form)
            result.append(text)
    return result
