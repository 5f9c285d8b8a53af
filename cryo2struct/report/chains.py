"""What was built along each sequence: a table of chains with a strip each, and the letters in colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from cryo2struct.io.run_folder import BuiltChain
from cryo2struct.report.html import CLASSES, class_of

ROW = 60  # letters
GROUP = 10  # letters
OPEN = 4  # chains; with more of them the letters are folded away


def legend() -> str:
    """What the colours mean."""
    items = []
    for index, (least, name, _) in enumerate(CLASSES):
        top = 100 if index == 0 else CLASSES[index - 1][0]
        items.append(f'<li><b class="c{index}">A</b> {name}, {least:.0f} to {top:.0f} %</li>')
    return f'<ul class="legend">{"".join(items)}<li><i>a</i> not built</li></ul>'


def overview(chains: Sequence[BuiltChain]) -> str:
    """One row for each chain: residues built, mean confidence and a strip along the sequence."""
    longest = max(len(chain.letters) for chain in chains)
    rows = []
    for index, chain in enumerate(chains):
        built, whole = len(chain.position), len(chain.letters)
        numbers = [f"{built} of {whole}", f"{100 * built / whole:.0f}", f"{chain.confidence.mean():.0f}"]
        cells = [escape(chain.sequence), *numbers, _strip(chain, longest)]
        name = f'<th scope="row"><a href="#chain{index}">{escape(chain.name)}</a></th>'
        rows.append(f"<tr>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = ["chain", "sequence", "residues built", "%", "mean confidence, %", "along the sequence"]
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    return (
        f'<div class="wide"><table class="chains"><thead><tr>{titles}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def letters(chains: Sequence[BuiltChain], plots: Sequence[str]) -> str:
    """The sequence of each chain with its confidence, what is not built, and its plot, if any."""
    opened = " open" if len(chains) <= OPEN else ""
    parts = []
    for index, (chain, plot) in enumerate(zip(chains, plots, strict=True)):
        title = f"Chain {chain.name}: {chain.sequence}, {len(chain.position)} of {len(chain.letters)} residues"
        parts.append(
            f'<details id="chain{index}" class="chain" data-chain="{index}"{opened}><summary>{escape(title)}</summary>'
            f'<p>Not built: <span class="gaps">{unbuilt(chain)}</span></p>'
            f'{plot}<div class="letters">{"".join(_rows(chain))}</div></details>'
        )
    return "\n".join(parts)


def unbuilt(chain: BuiltChain) -> str:
    """Stretches that are not built, as in `1-4, 17`."""
    stretches = [f"{first}-{last}" if last > first else str(first) for first, last in chain.unbuilt]
    return ", ".join(stretches) or "nothing"


def _strip(chain: BuiltChain, longest: int) -> str:
    """A picture of the sequence; its length goes with that of the longest one."""
    whole = len(chain.letters)
    parts = [f'<rect class="gap" y="5" width="{whole}" height="2"/>']
    classes = zip(chain.position.tolist(), map(class_of, chain.confidence), strict=True)
    # Runs of neighbours of one class share a rectangle: positions less their rank are constant in a run.
    for (_, kind), run in groupby(enumerate(classes), key=lambda item: (item[1][0] - item[0], item[1][1])):
        members = [position for _, (position, _) in run]
        parts.append(f'<rect class="f{kind}" x="{members[0] - 1}" width="{len(members)}" height="12"/>')
    size = f'style="width:{100 * whole / longest:.1f}%" viewBox="0 0 {whole} 12" preserveAspectRatio="none"'
    return f'<svg class="strip" {size} role="img" aria-label="not built: {unbuilt(chain)}">{"".join(parts)}</svg>'


def _rows(chain: BuiltChain) -> Iterator[str]:
    """The letters, `ROW` in a line; what is built has its number and confidence as a tooltip."""
    confidence = dict(zip(chain.position.tolist(), chain.confidence.tolist(), strict=True))
    between = set(chain.position[chain.interpolated].tolist())
    for start in range(0, len(chain.letters), ROW):
        cells = []
        for position, letter in enumerate(chain.letters[start : start + ROW], start=start + 1):
            if position in confidence:
                value = confidence[position]
                note = ", interpolated" if position in between else ""
                cells.append(
                    f'<b class="c{class_of(value)}" title="{letter}{position} {value:.1f} %{note}">{letter}</b>'
                )
            else:
                cells.append(f"<i>{letter.lower()}</i>")
            if position % GROUP == 0:
                cells.append(" ")
        yield f"<div><span>{start + 1}</span>{''.join(cells)}</div>"
