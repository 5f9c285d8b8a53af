"""One self-contained page about a finished run: what was built, how sure that is, and the model in its map."""

from cryo2struct.report.page import render_report as render_report

__all__ = ["render_report"]
