"""The page in a browser: map and model are drawn, and the browser has nothing to complain of."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from run_folders import make_run

from cryo2struct.io.run_folder import read_map_of, read_run
from cryo2struct.report import render_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--window-size=600,450",
    "--virtual-time-budget=20000",
]
SOFTWARE_WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
ONLY_THE_VIEW = "#view { position: fixed !important; inset: 0; z-index: 9; height: 100vh !important; outline: none; }"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH"),
]


def browse(page, folder, *options, webgl=SOFTWARE_WEBGL) -> tuple[str, list[str]]:
    """What the browser prints, and the messages of its console, without those of the graphics driver."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    profile = folder / "profile"
    command = [CHROMIUM, *OPTIONS, *webgl, f"--user-data-dir={profile}", *options, (folder / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    shutil.rmtree(profile, ignore_errors=True)
    lines = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "GL Driver Message" not in line]
    return done.stdout, lines


def picture(page, folder) -> np.ndarray:
    """The view alone, as the browser draws it: (y, x, 3), 0 to 255."""
    image = pytest.importorskip("matplotlib.image")
    file = folder / "view.png"
    _, complaints = browse(page.replace("</style>", ONLY_THE_VIEW + "</style>", 1), folder, f"--screenshot={file}")
    assert not complaints
    return np.rint(255 * image.imread(file)[:, :, :3]).astype(int)


def coloured(pixels, red, green, blue) -> int:
    """Pixels of this hue, lit more or less."""
    wanted = np.array([red, green, blue]) / np.linalg.norm([red, green, blue])
    length = np.linalg.norm(pixels, axis=2)
    return int(((pixels @ wanted > 0.99 * length) & (length > 60) & (length < 400)).sum())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = read_run(make_run(tmp_path_factory.mktemp("run"), lengths=(60, 60))[0])
    for chain in run.chains:
        chain.confidence[:] = 95
    density, _ = read_map_of(run)
    return run, density


def test_model_and_map_are_drawn(made, tmp_path):
    run, density = made
    alone = picture(render_report(run, None), tmp_path)
    both = picture(render_report(run, density), tmp_path)
    for view in (alone, both):
        assert coloured(view, 0x00, 0x53, 0xD6) > 1000
    grey = [int((np.ptp(view, axis=2) < 40).sum() - (view.min(axis=2) > 250).sum()) for view in (alone, both)]
    assert grey[1] > grey[0] + 1000
    assert (both[0] == 255).all()  # the background is white up to the edge
    run.chains[0].confidence[:] = 20
    assert coloured(picture(render_report(run, None), tmp_path), 0xFF, 0x7D, 0x45) > 500
    run.chains[0].confidence[:] = 95


def test_state_and_console(made, tmp_path):
    dom, complaints = browse(render_report(*made), tmp_path, "--dump-dom")
    assert not complaints
    assert 'data-state="drawn"' in dom
    scene = json.loads(re.search(r'<script type="application/json" id="scene">(.*?)</script>', dom, re.S)[1])
    level = scene["map"]["background"] + scene["map"]["level"] * scene["map"]["step"]
    shown = float(re.search(r'id="level-value">([-0-9.e]+)', dom)[1])
    assert shown == pytest.approx(level, rel=0.01)


def test_hostile_names_run_nothing(tmp_path):
    evil = "<script>document.title='taken'</script>\"><img src=x onerror=\"document.title='taken'\">"
    folder, *_ = make_run(tmp_path, names=[evil, evil + "2"], chains=["</script><script>1", "b"])
    dom, complaints = browse(render_report(read_run(folder), None, notes=[evil]), tmp_path, "--dump-dom")
    assert not complaints
    assert 'data-state="drawn"' in dom
    assert "<title>Model built into map.mrc</title>" in dom


def test_without_webgl_the_page_says_so(made, tmp_path):
    dom, _ = browse(render_report(*made), tmp_path, "--dump-dom", webgl=["--disable-software-rasterizer"])
    assert 'data-state="failed"' in dom
    assert re.search(r'<div id="view"[^>]*>The 3D view cannot be shown', dom)
