"""The report page in a browser: every figure is drawn, no error is logged, nothing moves sideways at 400 pixels."""

import html
import os
import re
import shutil
import subprocess

import pytest
from made_studies import events_of_study

from cifarray.report.page import document
from cifarray.report.page.told import tell

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium"),
]
PROBE = """
<script>
addEventListener("load", () => {
  const frame = document.querySelector("iframe");
  const look = () => {
    const page = frame.contentDocument;
    if (!page || page.documentElement.dataset.drawn === undefined) { setTimeout(look, 20); return; }
    const rows = () => [...page.querySelectorAll("#leaderboard tbody tr")].map((row) => row.children[1].textContent);
    const [first, heading] = [rows(), page.querySelectorAll("#leaderboard th button")[1]];
    heading.click();
    const rising = rows();
    page.querySelectorAll("#leaderboard .pages button")[1].click();
    const next = rows();
    heading.click();
    document.body.dataset.found = JSON.stringify({
      figures: page.querySelectorAll(".plot").length,
      drawn: page.querySelectorAll(".plot .main-svg").length,
      wide: page.documentElement.scrollWidth, first, rising, next, falling: rows(),
    });
  };
  look();
});
</script>
"""


@pytest.fixture
def page(tmp_path):
    told = tell(events_of_study("toy", 60, 9), tmp_path / "toy")
    told.validation_images = 5000
    return document.write([told], tmp_path / "report.html")


def browse(page, width, tmp_path):
    """What the probe saw of the page in a frame of so many pixels, and what the browser logged."""
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<!doctype html><body><iframe src="{page.name}" width="{width}" height="900"></iframe>{PROBE}',
        encoding="utf-8",
    )
    flags = ["--headless=new", "--disable-gpu", "--allow-file-access-from-files", "--enable-logging=stderr", "--v=0"]
    flags += ["--no-sandbox"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [
            CHROMIUM,
            *flags,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1400,1000",
            "--virtual-time-budget=60000",
            "--dump-dom",
            outer.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    return document.json.loads(html.unescape(found[1])), [
        line for line in done.stderr.splitlines() if "CONSOLE" in line
    ]


@pytest.mark.parametrize("width", [400, 1280])
def test_all_is_drawn_sorted_and_paged_and_nothing_moves_sideways(page, width, tmp_path):
    found, logged = browse(page, width, tmp_path)
    assert logged == []
    assert found["figures"] > 10
    assert found["drawn"] >= found["figures"]
    assert found["wide"] <= width
    numbers = {name: list(map(int, found[name])) for name in ("first", "rising", "next", "falling")}
    assert numbers["rising"] == list(range(25))
    assert numbers["next"] == list(range(25, 50))
    assert numbers["falling"] == list(range(59, 34, -1))
    assert len(numbers["first"]) == 25
