"""Stage 7: JSONL, Markdown, contact sheet, metrics history."""
