"""The library: one SQLite file that screen and engine share."""
