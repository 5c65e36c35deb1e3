"""Which columns there is room for."""

from rich.console import Console

from cifarray.report.columns import Column, draw, fitting

NUMBERS = Column("trial", ["1", "20"])
NAMES = Column("weight_decay", ["0.1", "0.00025"], spare=1)
SPEEDS = Column("images/s", ["1,234", "–"], spare=9)


def headings(columns):
    return [column.heading for column in columns]


def test_headings_are_whole_where_there_is_room():
    shown, left_out = fitting([NUMBERS, NAMES, SPEEDS], 5 + 2 + 12 + 2 + 8)
    assert headings(shown) == ["trial", "weight_decay", "images/s"]
    assert left_out == []


def test_headings_are_broken_before_a_column_is_left_out():
    shown, _ = fitting([NUMBERS, NAMES, SPEEDS], 28)
    assert headings(shown) == ["trial", "weight_\ndecay", "images/s"]


def test_columns_move_together_before_one_is_left_out():
    shown, left_out = fitting([NUMBERS, NAMES, SPEEDS], 5 + 1 + 7 + 1 + 8)
    assert len(shown) == 3
    assert left_out == []


def test_the_largest_spare_column_goes_first_and_what_must_be_stays():
    assert [headings(part) for part in fitting([NUMBERS, NAMES, SPEEDS], 21)] == [
        ["trial", "weight_decay"],
        ["images/s"],
    ]
    assert [headings(part) for part in fitting([NUMBERS, NAMES, SPEEDS], 4)] == [
        ["trial"],
        ["weight_decay", "images/s"],
    ]


def test_what_fits_is_drawn_whole():
    for width in range(13, 40):
        console = Console(width=width, color_system=None)
        with console.capture() as capture:
            console.print(draw(fitting([NUMBERS, NAMES, SPEEDS], width)[0], width))
        text = capture.get()
        assert "0.00025" in text
        assert "…" not in text
