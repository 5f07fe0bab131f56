"""What `ptag apply` says of its work."""

from __future__ import annotations

from imageworks.cli.apply import _report
from imageworks.models import Tags
from imageworks.review.session import ReviewSession
from tests.support.review_library import ReviewLibrary


def test_only_writes_that_were_waited_for_are_counted_as_written(tmp_path, capsys):
    """A screen that accepts meanwhile may add failures to the list, not take from the count."""
    made = ReviewLibrary(tmp_path)
    session = ReviewSession(made.library, made.config, undo_window_s=0)
    for name in ("a.jpg", "b.jpg"):
        session.accept(made.add(name, Tags(caption=name)))
    first, second = made.library.decisions.begin_writes(2)
    made.library.decisions.mark_written(first.decision_id)
    made.library.decisions.record_write_failed(second, reason="x", reason_text="It is gone.")

    status = _report(made.library, [first.decision_id])

    assert capsys.readouterr().out.startswith("1 written, 1 failed.\n")
    assert status == 1
    made.library.close()
