"""The docs list every line that the readers of maps, masks, sequences, candidates and lists of them can say."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READERS = ["io/maps", "io/map_header", "io/streams", "io/sequences", "io/candidates", "io/manifest", "preflight"]
PUNCTUATION = " :;,(')"
EXCEPTIONS = {"InputError", "UsageError", "NothingToBuildError"}
DOCUMENTED = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("inputs.md", "many.md"))


def is_message(node):
    """Text with values put in, or a sentence with a remedy."""
    return isinstance(node, ast.JoinedStr) or "; " in str(getattr(node, "value", ""))


def says(node):
    """A refusal, a warning that is appended, or the end of a function that returns one."""
    if isinstance(node, ast.Call):
        raised = getattr(node.func, "id", "") in EXCEPTIONS
        return raised or ast.unparse(node.func) == "warnings.append"
    return isinstance(node, ast.Return | ast.AugAssign)


def messages(module):
    """The fixed parts of each message, without the values that are put in."""
    tree = ast.parse((ROOT / "cryo2struct" / f"{module}.py").read_text(encoding="utf-8"))
    for text in (text for node in ast.walk(tree) if says(node) for text in ast.walk(node) if is_message(text)):
        parts = getattr(text, "values", [text])
        yield [part.value.strip(PUNCTUATION) for part in parts if isinstance(part, ast.Constant)]


@pytest.mark.parametrize("module", READERS)
def test_every_message_is_listed(module):
    found = [message for message in messages(module) if any(" " in piece for piece in message)]
    assert len(found) > 3
    for message in found:
        for piece in message:
            assert piece in DOCUMENTED, message
