"""Scores, as `cryo2struct.evaluation` hands them over, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from cryo2struct.report.html import number, table

TITLES = {
    "chain_comparison": "Chain comparison",
    "ca": "C-alpha positions, one to one",
    "map_model": "Map and model",
    "q_score": "Q-score",
    "geometry": "Geometry",
}


def score_tables(scores: Mapping[str, Any]) -> str:
    """All numbers of a nested mapping: groups of one set of names as a table with a column each, the rest by name."""
    single = {name: value for name, value in scores.items() if not isinstance(value, Mapping | list)}
    parts = [_block("Scores", single)] if single else []
    parts += [_block(TITLES.get(n, _plain(n)), v) for n, v in scores.items() if isinstance(v, Mapping)]
    return "\n".join(parts)


def fsc_curves(scores: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The map-model FSC curves among the scores, by name."""
    found = scores.get("map_model", {}).get("fsc", {})
    return {name: value["curve"] for name, value in found.items() if isinstance(value, Mapping) and "curve" in value}


def _block(title: str, values: Mapping[str, Any]) -> str:
    """One group of scores."""
    notes = [note for note in values.get("notes", []) if isinstance(note, str)]
    groups = {name: value for name, value in values.items() if isinstance(value, Mapping) and name != "curve"}
    single = {n: v for n, v in values.items() if not isinstance(v, Mapping | list)}
    parts = [f"<h3>{escape(title)}</h3>"]
    if single:
        parts.append(table([], [(_plain(name), number(value)) for name, value in single.items()], "pairs"))
    columns = {name: _flat(value) for name, value in groups.items()}
    alike = len({tuple(column) for column in columns.values()}) == 1 and len(columns) > 1
    if alike:
        rows = next(iter(columns.values()))
        body = [(_plain(row), *(number(column[row]) for column in columns.values())) for row in rows]
        parts.append(table(["", *map(_plain, columns)], body, "scores"))
    else:
        parts += [_block(_plain(name), group) for name, group in groups.items() if columns[name]]
    parts += [f'<p class="note">{escape(note)}</p>' for note in notes]
    return "\n".join(parts)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Single values of a group, those of its groups after them."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {inner}": v for inner, v in _flat(value).items()}
        elif not isinstance(value, list):
            flat[name] = value
    return flat


def _plain(name: str) -> str:
    return name.replace("_", " ")
