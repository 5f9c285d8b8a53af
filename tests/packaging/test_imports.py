"""The rules of who may import whom, and what must start without what."""

import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import grimp
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]

HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in shown:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)
sys.meta_path.insert(0, Hide())
"""


def python(code) -> str:
    """What the code prints, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def with_requirements(names) -> set[str]:
    """Names of distributions and of all that they need."""
    found: set[str] = set()
    todo = [canonicalize_name(name) for name in names]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        for requirement in map(Requirement, requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(canonicalize_name(requirement.name))
    return found


def test_contracts():
    code = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    assert "0 broken" in python(code)


def test_the_engine_imports_numpy_and_numba_alone():
    graph = grimp.build_graph("hmm", include_external_packages=True, cache_dir=None)
    modules = {"hmm", *graph.find_descendants("hmm")}
    imported = {name for module in modules for name in graph.find_modules_directly_imported_by(module)} - modules
    assert imported - sys.stdlib_module_names == {"numpy", "numba"}


def test_training_starts_with_little():
    needed = with_requirements(["torch", "numpy", "safetensors", "PyYAML"])
    modules = {
        module
        for module, owners in packages_distributions().items()
        if needed & {canonicalize_name(owner) for owner in owners}
    }
    assert "torch" in modules
    assert not {"gemmi", "scipy", "pydantic"} & modules
    shown = sorted({"cryo2struct", *modules, *sys.stdlib_module_names})
    assert "--weights-only-restart" in python(
        f"shown = {shown}{HIDE}from cryo2struct.training.run import main; main(['--help'])"
    )


def test_every_command_prints_help_and_imports_little():
    code = """
import json, sys
import typer.main, typer.testing
from cryo2struct.cli.main import app
commands = list(typer.main.get_command(app).commands)
printed = {c: typer.testing.CliRunner().invoke(app, [c, "--help"]).stdout for c in commands}
printed[""] = typer.testing.CliRunner().invoke(app, ["--help"]).stdout
print(json.dumps([printed, sorted(sys.modules)]))
"""
    printed, modules = json.loads(python(code))
    assert {"build", "classify", "trace", "evaluate", "demo", "train"} < set(printed)
    for command, text in printed.items():
        assert f"{command} [OPTIONS]" in text
    assert all(command in printed[""] for command in printed)
    assert not {"torch", "numba", "numpy", "scipy", "gemmi"} & set(modules)


def test_tracing_runs_without_torch(tmp_path):
    case = ROOT / "tests" / "data" / "hmm_cases" / "easy_1"
    arguments = ["trace", f"{case}.candidates.npz", f"{case}.fasta", "-o", str(tmp_path / "t.npz")]
    code = (
        "import sys; from cryo2struct.cli.main import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as done: assert not done.code\n"
        "assert 'torch' not in sys.modules"
    )
    python(code)
    assert (tmp_path / "t.npz").exists()
