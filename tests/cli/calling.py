"""Calling the program as its console script does."""

import sys

from cryo2struct.cli.main import main


def run(monkeypatch, capsys, *arguments):
    """Exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["cryo2struct", *map(str, arguments)])
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code or 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def run_last(monkeypatch, capsys, *arguments):
    """Exit code, standard output, last line of standard error."""
    code, out, err = run(monkeypatch, capsys, *arguments)
    return code, out, (err.splitlines() or [""])[-1]
