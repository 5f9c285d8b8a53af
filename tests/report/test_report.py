"""The page about a run: all of the run is in it, nothing in it is taken for a part of the page, nothing is loaded."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from run_folders import make_run

from cryo2struct.io.run_folder import read_map_of, read_run, sequences_without_chain
from cryo2struct.report import plots, render_report

EMPTY = {"meta", "input", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Elements of a page, each with attributes and text; a tag that is not closed where it should be is an error."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", "within": list(self._open), **dict(attributes)}
        self.elements.append(element)
        if tag not in EMPTY:
            self._open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in EMPTY:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, tag, **attributes):
        return [e for e in self.elements if e["tag"] == tag and all(e.get(k) == v for k, v in attributes.items())]

    def text_of(self, identifier):
        return next(e["text"] for e in self.elements if e.get("id") == identifier)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder, *objects = make_run(tmp_path_factory.mktemp("run"))
    run = read_run(folder)
    density, reason = read_map_of(run)
    assert not reason
    return (run, density, Page(render_report(run, density)), *objects)


def test_each_residue_and_each_stretch_not_built_is_there(made):
    _, _, page, sequences, trace, _, _ = made
    for index, entity in enumerate(sequences.entities):
        rows = trace.entity == index
        confidence = dict(zip(trace.position[rows] + 1, 100 * trace.confidence[rows], strict=True))
        between = set(trace.position[rows & (trace.candidate < 0)] + 1)
        (chain,) = page.all("details", id=f"chain{index}")
        letters = [e for e in page.elements if chain in e["within"] and e["tag"] in ("b", "i")]
        assert len(letters) == len(entity.letters)
        for position, (letter, element) in enumerate(zip(entity.letters, letters, strict=True), start=1):
            if position in confidence:
                place, value, _, *note = re.split(r"[ ,]+", element["title"])
                assert place == f"{letter}{position}"
                assert element["text"] == letter
                assert float(value) == pytest.approx(confidence[position], abs=0.06)
                kind = int(np.searchsorted([-90, -70, -50], -confidence[position]))
                assert element["class"] == f"c{kind}"
                assert bool(note) == (position in between)
            else:
                assert element["tag"] == "i"
                assert element["text"] == letter.lower()
        (gaps,) = [e["text"] for e in page.elements if chain in e["within"] and e.get("class") == "gaps"]
        listed = set()
        for stretch in gaps.split(", "):
            first, _, last = stretch.partition("-")
            here = set(range(int(first), int(last or first) + 1))
            assert not listed & here
            assert min(here) - 1 not in listed  # neighbours are one stretch
            listed |= here
        assert listed == set(range(1, len(entity.letters) + 1)) - set(confidence)
        shown = [
            float(e["width"]) for e in page.all("rect") if e.get("class", "gap") != "gap" and _strip_of(e) == index
        ]
        assert sum(shown) == len(confidence)


def _strip_of(rect):
    (row,) = [e for e in rect["within"] if e["tag"] == "tr"]
    return "AB".index(row["text"][0])


def test_warnings_timings_and_provenance(made):
    run, _, page, *_ = made
    assert "the map looks odd" in page.text_of("warnings")
    assert "trace" in page.text_of("timings")
    provenance = page.text_of("provenance")
    assert "cryo2struct build map.mrc seq.fasta" in provenance
    assert run.record.inputs["map"].sha256 in provenance
    assert run.record.versions["numpy"] in provenance
    assert "University of Pittsburgh" in provenance  # the licence of 3Dmol.js asks for it
    assert len(page.all("figure")) == len(run.chains)


def test_nothing_is_loaded_and_only_two_scripts_may_run(made):
    page = made[2]
    for element in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            assert element.get(name, "#").startswith("#"), element
        assert not any(name.startswith("on") for name in element)
        assert not re.search(r"url\((?!#)|@import", element.get("style") or "")
    assert not re.search(r"url\((?!#)|@import", "".join(e["text"] for e in page.all("style")))
    (policy,) = [e["content"] for e in page.all("meta") if e.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    data, *scripts = page.all("script")
    assert data["type"] == "application/json"
    assert len(scripts) == 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script["text"].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_names_are_text_and_nothing_else(tmp_path):
    evil = ["<script>alert(1)</script>", "\"><img/src=x onerror='alert(2)'>&amp;"]
    chains = ["</script><b>", "x'y&lt;"]
    folder, *_ = make_run(tmp_path, map_name="<img src=x onerror=alert(3)>.mrc", names=evil, chains=chains)
    run = read_run(folder)
    scores = {evil[0]: {evil[1]: 1.0}, "ca": {"notes": [evil[0]], "f1": 0.5}}
    scores["per_residue"] = [row for chain in run.chains for row in q_rows(chain)]
    page = Page(render_report(run, None, notes=[evil[1]], scores=scores))
    assert not page.all("img")
    assert len(page.all("script")) == 3
    assert not any(name.startswith("on") for element in page.elements for name in element)
    assert "<img src=x onerror=alert(3)>.mrc" in page.all("title")[0]["text"]
    for name in evil:
        assert name in page.text_of("chains")
        assert name in page.text_of("scores")
    assert evil[1] in page.text_of("warnings")
    scene = json.loads(page.text_of("scene"))
    assert [chain["name"] for chain in scene["model"]["chains"]] == chains


def q_rows(chain):
    return [{"chain": chain.name, "number": int(place), "q_score": 0.6} for place in chain.position]


def test_scores_and_curve(made):
    run = made[0]
    curve = {"d_inv": [0.05, 0.1, 0.2], "fsc": [0.9, 0.6, 0.1]}
    fsc = {name: {"d_fsc_model_05": 8.5, "curve": curve} for name in ("masked", "unmasked")}
    scores = {
        "tm_score": 0.8765,
        "chain_mapping": {"A": ["X", "Y"]},
        "geometry": {"outliers": [{"chain": "A"}], "notes": ["no side chains"]},
        "notes": ["a note"],
        "lddt_ca": None,
        "ca": {"at_1.0": {"f1": 0.25, "pairs": 7}, "at_2.0": {"f1": 0.75, "pairs": 9}},
        "map_model": {"cc_mask": 0.654321, "fsc": fsc},
    }
    page = Page(render_report(run, None, scores=scores))
    text = page.text_of("scores")
    rows = [re.sub(r"\s+", " ", e["text"]) for e in page.all("tr")]
    assert "tm score0.876" in rows or "tm score0.877" in rows
    assert "lddt ca-" in rows
    assert "f10.2500.750" in rows
    assert "pairs79" in rows
    assert "cc mask0.654" in rows
    assert "8.500" in text
    assert "AX, Y" in rows
    assert not any("outliers" in row for row in rows)
    assert {"a note", "no side chains"} <= {e["text"] for e in page.all("p")}
    assert len([e for e in page.all("svg") if e.get("aria-label") == "map-model FSC"]) == 1
    assert not [
        e
        for e in Page(render_report(run, None, scores={"tm_score": 1.0})).all("svg")
        if e.get("aria-label") == "map-model FSC"
    ]


def test_q_score_is_plotted_where_it_is_given(made):
    run = made[0]
    assert "Q-score" not in made[2].text_of("sequences")
    chain = run.chains[1]
    page = Page(render_report(run, None, scores={"per_residue": q_rows(chain)}))
    assert "Q-score" not in page.text_of("chain0")
    assert "Q-score" in page.text_of("chain1")


def test_plot_has_a_line_for_each_run_and_a_dot_for_each_lone_residue(made):
    for chain in made[0].chains:
        drawing = Page(plots.confidence_plot(chain, {}))
        runs = np.split(chain.position, np.flatnonzero(np.diff(chain.position) > 1) + 1)
        (line,) = [e for e in drawing.all("path") if plots.LINE in (e.get("style") or "") and "clip-path" in e]
        dots = [e for e in drawing.all("use") if plots.LINE in (e.get("style") or "")]
        assert len(dots) == sum(len(run) == 1 for run in runs) > 0
        subpaths = [part.split("L") for part in line["d"].split("M") if "L" in part]
        assert len(subpaths) == sum(len(run) > 1 for run in runs)
        # Up is less in a picture: the highest point of the line is the highest confidence in a run.
        xy = np.array([point.split() for part in subpaths for point in part], dtype=float)
        among = [i for i, position in enumerate(chain.position) if any(position in r and len(r) > 1 for r in runs)]
        order = np.argsort(-chain.confidence[among])
        x, y = xy[np.argsort(xy[:, 1])].T
        step = np.ptp(xy[:, 0]) / np.ptp(chain.position[among])
        expected = (chain.position[among][order[0]] - chain.position[among].min()) * step
        assert x[0] - xy[:, 0].min() == pytest.approx(expected, abs=0.01)
        assert y[0] < y[-1]


def test_without_matplotlib_the_page_says_so(made, monkeypatch):
    run, density, *_ = made
    monkeypatch.setattr(plots, "available", lambda: False)
    page = Page(render_report(run, density))
    assert not page.all("figure")
    assert "matplotlib" in page.text_of("warnings")


def test_residues_of_unknown_type_stand_beside_those_of_the_sequences(tmp_path):
    folder, _, trace, *_ = make_run(tmp_path, lengths=(40,), unassigned=30)
    page = Page(render_report(read_run(folder), None))
    facts = {a["text"]: b["text"] for a, b in zip(page.all("dt"), page.all("dd"), strict=True)}
    built = int((trace.entity == 0).sum())
    assert facts["residues built"] == f"{built} of 40 ({100 * built / 40:.0f} %)"
    assert facts["chains"] == "1"
    assert facts["of unknown type besides"] == str(len(trace) - built)
    assert facts["mean confidence"] == f"{100 * trace.confidence[trace.entity == 0].mean():.0f} %"


def test_a_sequence_without_chain_is_named(made):
    assert sequences_without_chain(made[0]) == ["absent"]


def test_sixty_chains_are_folded(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "available", lambda: False)  # they take the most of the time
    folder, *_ = make_run(tmp_path, lengths=(12,) * 60)
    chains = Page(render_report(read_run(folder), None)).all("details", **{"class": "chain"})
    assert len(chains) == 60
    assert not any("open" in chain for chain in chains)
