"""Scores, as `cryo2struct.evaluation` hands them over, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from cryo2struct.report.html import number, table

TITLES = {
    "chain_comparison": "Chain comparison",
    "ca": "C-alpha positions, one to one",
    "tm_per_chain": "TM-score per chain of the target",
    "chain_mapping": "Chains of the model for each chain of the target",
    "map_model": "Map and model",
    "fsc": "Map-model FSC",
    "q_score": "Q-score",
    "geometry": "Geometry",
}


def score_tables(scores: Mapping[str, Any]) -> str:
    """All numbers of a nested mapping: groups of one set of names as a table with a column each, the rest by name."""
    own = {name: value for name, value in scores.items() if not isinstance(value, Mapping)}
    parts = [_block("Model", own)]
    parts += [_block(_title(n), v) for n, v in scores.items() if isinstance(v, Mapping)]
    return f'<div class="blocks">{"".join(parts)}</div>'


def fsc_curves(scores: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The map-model FSC curves among the scores, by name."""
    found = scores.get("map_model", {}).get("fsc", {})
    return {name: value["curve"] for name, value in found.items() if isinstance(value, Mapping) and "curve" in value}


def q_scores(scores: Mapping[str, Any]) -> dict[tuple[str, int], float]:
    """Q-score of each residue that has one, by chain and number."""
    rows = (row for row in scores.get("per_residue", []) if row.get("q_score") is not None)
    return {(row["chain"], int(row["number"])): float(row["q_score"]) for row in rows}


def _block(title: str, values: Mapping[str, Any]) -> str:
    """One group of scores; nothing where there is nothing to show."""
    single = _flat({name: value for name, value in values.items() if not isinstance(value, Mapping)})
    groups = {name: value for name, value in values.items() if isinstance(value, Mapping) and name != "curve"}
    parts = []
    if single:
        parts.append(table([], [(_plain(name), _cell(value)) for name, value in single.items()], "pairs"))
    columns = {name: flat for name, value in groups.items() if (flat := _flat(value))}
    if len(columns) > 1 and len({tuple(column) for column in columns.values()}) == 1:
        rows = next(iter(columns.values()))
        body = [(_plain(row), *(_cell(column[row]) for column in columns.values())) for row in rows]
        parts.append(table(["", *map(_plain, columns)], body, "scores"))
    else:
        parts += [_block(_title(name), groups[name]) for name in columns]
    parts += [f'<p class="note">{escape(str(note))}</p>' for note in values.get("notes", [])]
    return f"<div><h3>{escape(title)}</h3>{''.join(parts)}</div>" if parts else ""


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Single values of a group, those of its groups after them; no curves, no tables of residues, no notes."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {inner}": v for inner, v in _flat(value).items()} if name != "curve" else {}
        elif name != "notes" and not (isinstance(value, list) and not all(isinstance(v, str) for v in value)):
            flat[name] = value
    return flat


def _cell(value: Any) -> str:
    return ", ".join(value) or "-" if isinstance(value, list) else number(value)


def _title(name: str) -> str:
    return TITLES.get(name, _plain(name).capitalize())


def _plain(name: str) -> str:
    return name.replace("_", " ")
