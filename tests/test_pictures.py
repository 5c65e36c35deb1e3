"""README's pictures can be drawn again from any journal."""

import re
import runpy
from pathlib import Path

import pytest
from histories import OLDER

ROOT = Path(__file__).parents[1]


@pytest.fixture
def draw(tmp_path):
    """Draws both pictures of the journal; share: of its events that the live table has seen. The SVGs by name."""
    (tmp_path / "journal.jsonl").write_text(OLDER)
    main = runpy.run_path(str(ROOT / "docs" / "pictures.py"))["main"]

    def drawn(share=0.5):
        main([str(tmp_path), "--share", str(share), "--to", str(tmp_path)])
        return {name: (tmp_path / f"{name}.svg").read_text() for name in ("live", "accuracy")}

    return drawn


def words(svg):
    return " ".join(re.findall(r">([^<>]+)</text>", svg)).replace("&#160;", " ")


def test_the_live_table_is_that_of_the_moment(draw):
    # 7 of 16 events: trial 0 has done one of its two epochs, 6 s after the study's first event.
    early = words(draw(share=7 / 16)["live"])
    assert re.search(r"0 +running +1/2 +– +50\.00 %", early)
    assert "0 of 2 trials done · 1 running · 0:06 so far" in early
    assert "best so far 50.00 %: trial 0 after epoch 1 of 2, running" in early
    late = words(draw(share=1)["live"])
    assert re.search(r"0 +completed +2/2 +– +60\.00 %", late)
    assert re.search(r"1 +stopped +1/2 +– +10\.00 %", late)


def test_a_picture_needs_nothing_from_the_web(draw):
    assert all("@font-face" not in svg and "url(http" not in svg for svg in draw().values())


def test_one_journal_gives_one_picture(draw):
    assert draw()["accuracy"] == draw()["accuracy"]
