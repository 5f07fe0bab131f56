"""Panes of the screens; they draw and do no I/O."""
