"""The rules of who may import whom, and what must start without what."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HIDDEN = ["gemmi", "mrcfile", "scipy", "numba", "pydantic", "typer", "rich", "Bio", "lightning_fabric", "lightning"]


def python(*arguments) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_contracts():
    done = python("-c", "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])")
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_training_needs_little():
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({HIDDEN}))\n"
        "from cryo2struct.training.run import main; main(['--help'])"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert "--weights-only-restart" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["trace", "--help"], ["build", "--help"]])
def test_help_is_light(arguments):
    code = (
        "import sys; from cryo2struct.cli.main import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numba', 'numpy', 'scipy', 'gemmi') if m in sys.modules])"
    )
    assert python("-c", code).stdout.splitlines()[-1] == "[]"


def test_tracing_runs_without_torch(tmp_path):
    case = ROOT / "tests" / "data" / "hmm_cases" / "easy_1"
    arguments = ["trace", f"{case}.candidates.npz", f"{case}.fasta", "-o", str(tmp_path / "t.npz")]
    code = (
        "import sys; from cryo2struct.cli.main import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as done: assert not done.code\n"
        "print('torch' in sys.modules)"
    )
    assert python("-c", code).stdout.splitlines()[-1] == "False"
    assert (tmp_path / "t.npz").exists()
