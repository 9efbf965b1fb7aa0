"""The progress line: one line that moves, at any width."""

import pytest

from jaxmnist.run.progress import Progress, StatusLine, fit

LINE = "epoch 3/9  45%  at most 3 min 05 s left  loss 0.1234  accuracy 98.12%  1,373 examples/s"


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (200, LINE),
        (79, LINE.rpartition("  ")[0]),
        (30, "epoch 3/9  45%"),
        (5, "epoch"),
        (0, ""),
    ],
)
def test_whole_parts_are_left_out(width: int, shown: str) -> None:
    assert fit(LINE, width) == shown


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_the_line_never_reaches_the_last_column(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    progress = Progress(epochs=100, done=0, examples=1_234_567, seeds=12)
    progress.line.live = True
    progress.show(1_000_000, 0.01234, 0.99)
    written = capsys.readouterr().err.removeprefix("\r\033[K")
    assert 0 < len(written) < columns
    assert written.startswith("epoch 1/100")
    assert "\n" not in written


def test_lines_in_a_file_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    StatusLine(seconds=0).show(LINE)
    assert capsys.readouterr().err == f"{LINE}\n"
