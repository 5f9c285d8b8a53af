"""The picture of a training shows what metrics.csv says."""

import pytest

from cryo2struct.training.plot import main, plot, read_metrics

pytest.importorskip("matplotlib")

LOGGED = """step,name,value
10,aa,3
10,crops,80
10,crops_per_second.consumer,5
20,aa,2.5
20,crops,160
20,validate.3.0.types,0.2
15,aa,2.9
20,aa,2.4
"""


def test_figures_stand_over_crops_and_later_rows_count(tmp_path):
    (tmp_path / "metrics.csv").write_text(LOGGED)
    curves = read_metrics(tmp_path / "metrics.csv")
    assert curves["aa"] == {80: 3.0, 120: 2.9, 160: 2.4}
    assert curves["validate.3.0.types"] == {160: 0.2}
    (tmp_path / "metrics.csv").write_text("step,name,value\n10,aa,3\n")
    assert read_metrics(tmp_path / "metrics.csv") == {"aa": {10: 3.0}}


def test_panels(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, format: path.touch() or drawn.append(self))
    (tmp_path / "metrics.csv").write_text(LOGGED)
    plot(read_metrics(tmp_path / "metrics.csv"), tmp_path / "curve.png")
    loss, types, speed = drawn[0].axes
    assert loss.lines[0].get_xydata().tolist() == [[80, 3], [120, 2.9], [160, 2.4]]
    assert [axes.get_xlabel() for axes in (loss, types, speed)] == ["crops seen"] * 3
    assert speed.get_legend_handles_labels()[1] == ["consumer"]


def test_command_and_refusals(tmp_path, capsys):
    metrics = tmp_path / "metrics.csv"
    metrics.write_text(LOGGED)
    assert main([str(metrics), "-o", str(tmp_path / "curve.png")]) == 0
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert main([str(tmp_path / "none.csv")]) == 3
    for content in ("a,b\n1,2\n", "step,name,value\n1,aa,much\n", "step,name,value\n"):
        metrics.write_text(content)
        assert main([str(metrics)]) == 3
    metrics.write_text(LOGGED)
    assert main([str(metrics), "-o", str(tmp_path / "none" / "curve.png")]) == 4
    assert main([str(metrics), "-o", str(tmp_path / "curve.nonsense")]) == 4
    assert main([str(metrics), "-o", str(tmp_path / "curve")]) == 4
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("cryo2struct: ") for line in lines)
