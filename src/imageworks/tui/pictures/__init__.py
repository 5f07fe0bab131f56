"""Photographs in a terminal: drawn in any way it can, at the pace that its line can take."""
