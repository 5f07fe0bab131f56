"""What the documents say is what the program has: keys, commands, settings, links."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from imageworks.cli.app import build_parser, with_default_command
from imageworks.config import PersonalTaggerConfig, setting_specs
from imageworks.config.values import checked, from_toml
from imageworks.errors import UsageError
from imageworks.tui.actions import ACTIONS, KeyTable, Scope, key_table, shown_key

CHECKOUT = Path(__file__).parents[2]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
GENERATED = {"cli.md", "configuration.md", "keys.md"}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:^|[\s=`/])ptag ((?:[^`\n]|`(?!`))*)")


def reference_script():
    path = CHECKOUT / "scripts" / "reference"
    loader = SourceFileLoader("reference_script", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)
    return script


def keys_rows() -> dict[Scope, dict[str, str]]:
    """The keys page: for each scope, what stands in the key column for each action."""
    parts = re.split(r"^## (.*)$", reference_script().keys_page(), flags=re.MULTILINE)
    rows: dict[Scope, dict[str, str]] = {}
    for title, section in zip(parts[1::2], parts[2::2], strict=True):
        found = rows.setdefault(Scope(title), {})
        for line in section.splitlines():
            cells = re.split(r"(?<!\\)\|", line)
            names = re.findall(r"`(\w+)`", cells[3]) if len(cells) == 5 else []
            for name in _all_between(*names):
                assert name not in found
                found[name] = cells[1]
    return rows


def _all_between(first: str = "", last: str = "") -> list[str]:
    if not last:
        return [first] if first else []
    stem = first.removesuffix("1")
    assert last == f"{stem}9"
    return [f"{stem}{number}" for number in range(1, 10)]


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (page.name, text)
        for page in PAGES
        if page.name not in GENERATED
        for kind, text in _BLOCK.findall(page.read_text("utf-8"))
        if kind == language
    ]


def test_keys_page_has_every_action_where_it_works_and_nowhere_else():
    rows = keys_rows()

    assert set(rows) == set(Scope)
    for scope in Scope:
        assert set(rows[scope]) == {action.name for action in KeyTable().within([scope])}


def test_keys_page_shows_the_keys_of_each_action():
    rows = keys_rows()

    for action in ACTIONS:
        for scope in action.scopes:
            if re.search(r"_[2-8]$", action.name):
                continue  # between the first and the last of its row
            for key in filter(str.isascii, action.keys):
                assert f"`{shown_key(key)}`".replace("|", "\\|") in rows[scope][action.name]


def test_check_names_a_page_that_is_not_current(tmp_path: Path, monkeypatch, capsys):
    script = reference_script()
    monkeypatch.setattr(script, "DOCS", tmp_path)
    monkeypatch.setattr("sys.argv", ["reference"])
    assert script.main() == 0
    (tmp_path / "keys.md").write_text("old", "utf-8")

    monkeypatch.setattr("sys.argv", ["reference", "--check"])

    assert script.main() == 1
    assert "keys.md" in capsys.readouterr().out
    assert (tmp_path / "keys.md").read_text("utf-8") == "old"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_documents_lead_somewhere(page: Path):
    for link in _LINK.findall(page.read_text("utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            anchors = {
                re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
                for heading in headings
            }
            assert anchor in anchors, link


def test_settings_in_examples_are_accepted():
    seen = 0
    for page, text in blocks("toml"):
        for name, value in tomllib.loads(text).items():
            if name == "keymap":
                key_table(value)
            elif name in setting_specs():
                checked(name, setting_specs()[name], value, from_toml, page)
            else:
                assert name in {"keywords", "aliases", "banned"}, f"{page}: {name}"  # vocabulary
            seen += 1

    assert seen > 4


def test_commands_in_examples_are_understood():
    parser, seen = build_parser(), 0
    for page, text in blocks("sh") + blocks("ini"):
        for line in text.splitlines():
            command = _COMMAND.search(line.split(" #")[0])
            if command is None or "[PATH" in line:
                continue
            words = shlex.split(re.split(r"\s(?:>>|&&|\|\|?|;)", command[1])[0])
            try:
                parser.parse_args(with_default_command(words))
            except UsageError as error:
                pytest.fail(f"{page}: {line}: {error}")
            seen += 1

    assert seen > 20


def test_settings_named_in_the_guides_exist():
    known = set(setting_specs())
    for page in PAGES:
        if page.name in GENERATED:
            continue
        for name in re.findall(r"`([a-z_]+) = [^`]*`", page.read_text("utf-8")):
            assert name in known | {"banned"}, f"{page.name}: {name}"


def test_readme_names_the_default_server():
    assert PersonalTaggerConfig().base_url[0] in (CHECKOUT / "README.md").read_text("utf-8")
