"""The batch dialog: what will be asked, of which model, and what becomes of the answers."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import set_cell_size
from textual.containers import Vertical
from textual.widgets import OptionList, Static

from imageworks.config import BACKENDS
from imageworks.config.user_file import value_of_text
from imageworks.errors import UsageError
from imageworks.store.records import RunOptions
from imageworks.text import one_line
from imageworks.tui.actions import Scope
from imageworks.tui.screens.command import Dialog
from imageworks.tui.screens.settings import SettingField
from imageworks.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult

    from imageworks.config import PersonalTaggerConfig
    from imageworks.engine.client import EngineClient
    from imageworks.tui.actions import KeyTable

_LABEL_WIDTH = 12
_WITH_OWN_MODEL = frozenset({"builtin", "embedded", "auto"})


class Which(Enum):
    """Which images are asked about."""

    NEW = "those without a suggestion, and changed ones"
    FAILED = "those that failed"
    ALL = "all, also those asked about before"


class Then(Enum):
    """What becomes of the answers."""

    REVIEW = "wait for my decision; no file is written"
    WRITE = "accept all and write them into the files"
    DRY = "dry run: say what would be written, write nothing"


@dataclass(frozen=True, slots=True)
class BatchChoices:
    """What a person chose for one batch."""

    folders: tuple[Path, ...]
    is_recursive: bool
    backend: str
    model: str
    profile: str
    limit: int | None = None
    which: Which = Which.NEW
    then: Then = Then.REVIEW

    @classmethod
    def of(cls, config: PersonalTaggerConfig, folders: Sequence[Path]) -> BatchChoices:
        """What the settings say."""
        models = dict.fromkeys(config.models().values())
        return cls(
            folders=tuple(folders),
            is_recursive=config.recursive,
            backend=config.backend,
            model=", ".join(models),
            profile=config.prompt_profile,
        )

    def config(self, base: PersonalTaggerConfig) -> PersonalTaggerConfig:
        """The batch's settings: these choices over those of the session."""
        models: dict[str, Any] = {}
        if self.model != ", ".join(dict.fromkeys(base.models().values())):
            names = ("model", "caption_model", "keyword_model", "description_model")
            models = dict.fromkeys(names, self.model)
        return replace(
            base,
            input_paths=self.folders,
            recursive=self.is_recursive,
            backend=self.backend,
            prompt_profile=self.profile,
            review_later=self.then is Then.REVIEW,
            dry_run=self.then is Then.DRY,
            **models,
        )

    def options(self) -> RunOptions:
        """What the batch is asked to do besides its settings."""
        return RunOptions(
            is_redo=self.which is Which.ALL,
            limit=self.limit,
            retry_failed="any" if self.which is Which.FAILED else "",
        )


class BatchScreen(Dialog):
    """Asks what a batch is to do, and starts it.

    Args:
        keys: The user's keys.
        choices: What it shows first.
        facts: One line about the images concerned.
        client: Knows profiles and checks folders.
        start: Starts the batch.
    """

    def __init__(
        self,
        keys: KeyTable,
        choices: BatchChoices,
        *,
        facts: str,
        client: EngineClient,
        start: Callable[[BatchChoices], None],
    ) -> None:
        super().__init__(keys, Scope.BATCH, Scope.VALUE)
        self.choices = choices
        self._facts = facts
        self._client = client
        self._start = start
        self._list = OptionList(id="batch-entries", markup=False)
        self._field = SettingField()
        self._said = Static(id="said", markup=False)
        self._key_bar = KeyBar(keys, Scope.BATCH)

    def compose(self) -> ComposeResult:
        """The facts, the entries, the field for one of them, keys."""
        with Vertical(id="batch-box"):
            yield Static("Ask for suggestions", classes="label", markup=False)
            yield Static(one_line(self._facts, limit=200), id="batch-facts", markup=False)
            yield self._list
            yield self._field
            yield self._said
            yield self._key_bar

    def on_mount(self) -> None:
        """Shows the first entry."""
        self._list.add_options(self._rows())
        self._list.highlighted = 0
        self.set_focus(self._list)

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Shows one line to the person, in the dialog."""
        self._said.update(one_line(text, limit=400))
        self._said.set_class(is_error, "-error")

    def do_next(self) -> None:
        """Next entry."""
        self._list.highlighted = min(self._at + 1, len(_ENTRIES) - 1)

    def do_previous(self) -> None:
        """Previous entry."""
        self._list.highlighted = max(self._at - 1, 0)

    def do_page_down(self) -> None:
        """Last entry."""
        self.do_last()

    def do_page_up(self) -> None:
        """First entry."""
        self.do_first()

    def do_first(self) -> None:
        """First entry."""
        self._list.highlighted = 0

    def do_last(self) -> None:
        """Last entry."""
        self._list.highlighted = len(_ENTRIES) - 1

    def do_next_choice(self) -> None:
        """Takes the next of an entry's choices; one without them is edited."""
        choices = self.choices
        match _ENTRIES[self._at]:
            case "sub-folders":
                choices = replace(choices, is_recursive=not choices.is_recursive)
            case "backend":
                choices = replace(choices, backend=_after(choices.backend, BACKENDS))
            case "profile":
                names = self._client.profile_names()
                choices = replace(choices, profile=_after(choices.profile, names))
            case "which":
                choices = replace(choices, which=_after(choices.which, tuple(Which)))
            case "then":
                choices = replace(choices, then=_after(choices.then, tuple(Then)))
            case _:
                self.do_edit_entry()
                return
        self._show(choices)

    def do_edit_entry(self) -> None:
        """Opens the field with an entry's text; one of choices takes the next."""
        if (text := self._texts().get(_ENTRIES[self._at])) is None:
            self.do_next_choice()
            return
        self._field.load_text(text)
        self._field.select_all()
        self._field.display = True
        self.set_focus(self._field)
        self._key_bar.show_scope(Scope.VALUE)

    def do_save_setting(self) -> None:
        """Keeps what was typed; what cannot be used stays in the field.

        Raises:
            ImageworksError: It cannot be used.
        """
        text = self._field.text.strip()
        choices = self.choices
        match _ENTRIES[self._at]:
            case "folders":
                paths = [Path(part).expanduser() for part in text.split(os.pathsep) if part]
                if not paths:
                    message = "A batch needs a folder."
                    raise UsageError(message, hint="name one, several with ':' between.")
                choices = replace(choices, folders=self._client.check_folders(paths))
            case "model":
                choices = replace(choices, model=value_of_text("model", text) or choices.model)
            case "at most":
                choices = replace(choices, limit=_limit(text))
            case _:
                pass  # the other entries are not typed
        self._show(choices)
        self.leave_text()

    def do_leave_setting(self) -> None:
        """Leaves the entry as it was."""
        self.leave_text()

    def leave_text(self) -> None:
        """Gives the keys back to the entries."""
        self.set_focus(self._list)
        self._field.display = False
        self._key_bar.show_scope(Scope.BATCH)

    def do_start_batch(self) -> None:
        """Starts the batch."""
        self.dismiss()
        self._start(self.choices)

    @property
    def _at(self) -> int:
        return self._list.highlighted or 0

    def _show(self, choices: BatchChoices) -> None:
        self.choices = choices
        for position, row in enumerate(self._rows()):
            self._list.replace_option_prompt_at_index(position, row)

    def _texts(self) -> dict[str, str]:
        """The entries that are typed."""
        return {
            "folders": os.pathsep.join(str(folder) for folder in self.choices.folders),
            "model": self.choices.model,
            "at most": "" if self.choices.limit is None else str(self.choices.limit),
        }

    def _rows(self) -> list[str]:
        choices = self.choices
        shown = {
            **self._texts(),
            "at most": "all of them" if choices.limit is None else f"{choices.limit:,} images",
            "sub-folders": "yes" if choices.is_recursive else "no",
            "backend": choices.backend,
            "model": "its own" if choices.backend in _WITH_OWN_MODEL else choices.model,
            "profile": choices.profile,
            "which": choices.which.value,
            "then": choices.then.value,
        }
        return [
            set_cell_size(name, _LABEL_WIDTH) + one_line(shown[name], limit=300)
            for name in _ENTRIES
        ]


_ENTRIES = (
    *("folders", "sub-folders", "backend", "model", "profile"),
    *("which", "at most", "then"),
)


def _after(value: Any, choices: Sequence[Any]) -> Any:  # noqa: ANN401  # of one kind
    """The choice after this one, round and round; the first when it is none of them."""
    return choices[(choices.index(value) + 1) % len(choices)] if value in choices else choices[0]


def _limit(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or not int(text):
        message = f"{one_line(text, limit=40)!r} is no number of images."
        raise UsageError(message, hint="type a whole number, or nothing for all of them.")
    return int(text)
