"""The metrics screen: the figures of the batch under way, and of those before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from imageworks.errors import ImageworksError
from imageworks.text import one_line
from imageworks.tui.actions import Scope
from imageworks.tui.screens.command import CommandScreen
from imageworks.tui.screens.summary import show_summary
from imageworks.tui.widgets.key_bar import KeyBar
from imageworks.tui.wording import duration_text, rate_text, tokens_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from textual.app import ComposeResult

    from imageworks.engine.client import EngineView
    from imageworks.store.records import RunRow
    from imageworks.store.runs import Runs
    from imageworks.tui.actions import KeyTable
    from imageworks.tui.engine_watch import EngineWatch

REFRESH_S = 0.5
_PAST_RUNS = 20
_BAR_CELLS = 30
_BAR_STEPS = " ▁▂▃▄▅▆▇█"


class MetricsScreen(CommandScreen):
    """Live figures of the latest batch, and a line for each one before it.

    Args:
        keys: The user's keys.
        runs: The library's runs.
        watch: How the engine fares; the review screen below keeps it up to date.
    """

    def __init__(self, keys: KeyTable, runs: Runs, watch: EngineWatch) -> None:
        super().__init__(keys, [Scope.METRICS])
        self._runs = runs
        self._watch = watch
        self._said = Static(id="said", markup=False)
        self._shown: dict[str, Content] = {}

    def compose(self) -> ComposeResult:
        """Figures, the rate over time, past runs, keys."""
        with VerticalScroll(id="metrics-box"):
            yield Static(id="current", markup=False)
            yield Static(id="rates", markup=False)
            yield Static(id="past", markup=False)
        yield self._said
        yield KeyBar(self.keys, Scope.METRICS)

    def on_mount(self) -> None:
        """Shows the figures, and again twice a second."""
        self._update()
        self.set_interval(REFRESH_S, self._update)

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Shows one line to the person, above the keys."""
        self._said.update(one_line(text, limit=400))
        self._said.set_class(is_error, "-error")

    def do_show_review(self) -> None:
        """Back to the review screen."""
        self.dismiss()

    def do_show_summary(self) -> None:
        """Tells how the last batch went."""
        show_summary(self, self._watch.client)

    def do_show_metrics(self) -> None:
        """This is the metrics screen."""

    def do_stop_batch(self) -> None:
        """Stops the batch; pressed twice, at once."""
        self.say(self._watch.stop_batch())

    def do_pause_batch(self) -> None:
        """Pauses the asking, or lets it go on."""
        self.say(self._watch.toggle_pause())

    def do_help(self) -> None:
        """Shows all keys."""
        from imageworks.tui.screens.help import HelpScreen  # noqa: PLC0415  # rarely wanted
        from imageworks.tui.states import can_show_unicode  # noqa: PLC0415

        self.app.push_screen(HelpScreen(self.keys, is_unicode=can_show_unicode()))

    def _update(self) -> None:
        try:
            past = self._runs.latest(_PAST_RUNS)
        except ImageworksError as error:
            self.say(str(error), is_error=True)
            return
        self._show("current", current_content(self._watch.view))
        self._show("rates", rates_content(self._watch.rates))
        self._show("past", past_content(past))

    def _show(self, part: str, content: Content) -> None:
        """Draws a part again only where it has changed: an idle screen is to cost nothing."""
        if part not in self._shown or not content.is_same(self._shown[part]):
            self._shown[part] = content
            self.query_one(f"#{part}", Static).update(content)


def current_content(view: EngineView | None) -> Content:
    """The figures of the batch that runs or ran last."""
    if view is None or view.batch is None:
        return Content.assemble(
            ("No batch yet\n", "bold"), "Press b on the review screen to ask the model.\n"
        )
    totals = view.totals
    heading = "The batch under way" if view.is_batch_active else "The last batch"
    lines = [_head_line(view), _bar(totals), *_figure_lines(view)]
    parts: list[Content | tuple[str, str] | str] = [(f"{heading} · {view.batch.name}\n", "bold")]
    parts += [f"{line}\n" for line in lines if line]
    stages: Mapping[str, Any] = totals.get("stages") or {}
    if stages:
        parts.append(
            (f"\n{'Seconds':<14}{'count':>8}{'average':>10}{'p50':>9}{'p95':>9}\n", "bold")
        )
        parts += [f"{_stage_line(name, figures)}\n" for name, figures in stages.items()]
    failures: Mapping[str, int] = totals.get("failures") or {}
    if failures:
        parts.append(("\nFailures\n", "bold"))
        parts += [f"{count:,} {one_line(reason, limit=80)}\n" for reason, count in failures.items()]
    return Content.assemble(*parts)


def rates_content(rates: Iterable[float]) -> Content:
    """Images per second while this screen was open, as bars that start at zero, newest right."""
    shown = list(rates)[-_BAR_CELLS * 2 :]
    highest = max(shown, default=0.0)
    if not highest:
        return Content("")
    steps = len(_BAR_STEPS) - 1
    bars = "".join(_BAR_STEPS[round(rate / highest * steps)] for rate in shown)
    return Content.assemble(
        ("\nImages per second, so far\n", "bold"), f"{bars} at most {highest:.1f}\n"
    )


def past_content(runs: Sequence[RunRow]) -> Content:
    """A line for each run, newest first."""
    if not runs:
        return Content("")
    head = f"\n{'Run':<21}{'state':<11}{'images':>10}{'failed':>7}{'worked':>12}{'img/min':>8}"
    parts: list[Content | tuple[str, str] | str] = [(f"{head}{'tok/s':>8}\n", "bold")]
    parts += [f"{_past_line(run)}\n" for run in runs]
    return Content.assemble(*parts)


def _head_line(view: EngineView) -> str:
    message = one_line(str(view.totals.get("message") or ""), limit=200)
    if view.batch is None or view.is_batch_active:
        return message
    told = one_line(view.batch.message, limit=200) or message
    return f"{view.batch.status}: {told}" if told else view.batch.status


def _bar(totals: Mapping[str, Any]) -> str:
    total, done = int(totals.get("total") or 0), int(totals.get("done") or 0)
    if not total:
        return ""
    filled = min(_BAR_CELLS, done * _BAR_CELLS // total)
    return f"[{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {min(100, done * 100 // total)} %"


def _figure_lines(view: EngineView) -> list[str]:
    totals = view.totals
    counts = [
        f"{totals[key]:,} {word}"
        for key, word in (
            ("total", "known"),
            ("done", "done"),
            ("already_done", "done before"),
            ("written", "written"),
            ("failed", "failed"),
            ("retries", "asked twice"),
        )
        if totals.get(key)
    ]
    rate = rate_text(totals["images_per_s"]) if totals.get("images_per_s") else ""
    has_end = view.is_batch_active and totals.get("eta_s") is not None
    left = f"{duration_text(totals['eta_s'])} left" if has_end else ""
    concurrency = totals.get("concurrency")
    at_once = f"{concurrency} at once" if concurrency else ""
    tokens = tokens_text(totals.get("tokens"))
    return [
        " · ".join(counts),
        " · ".join(part for part in (rate, left, at_once) if part),
        f"Tokens: {tokens}" if tokens else "",
    ]


def _stage_line(name: str, figures: Mapping[str, Any]) -> str:
    seconds = "".join(f"{float(figures.get(key) or 0):>{width}.2f}" for key, width in _COLUMNS)
    return f"{one_line(name, limit=13):<14}{int(figures.get('count') or 0):>8,}{seconds}"


_COLUMNS = (("avg", 10), ("p50", 9), ("p95", 9))


def _past_line(run: RunRow) -> str:
    totals = run.totals
    done = int(totals.get("done") or 0)
    per_minute = done / run.worked_s * 60 if run.worked_s > 0 else 0.0
    per_second = (totals.get("tokens") or {}).get("per_s") or 0.0
    return (
        f"{one_line(run.name, limit=20):<21}{one_line(run.status, limit=11):<11}{done:>10,}"
        f"{int(totals.get('failed') or 0):>7,}{duration_text(run.worked_s):>12}"
        f"{per_minute:>8.1f}{per_second:>8.1f}"
    )
