"""Progress: a bar on a terminal, few plain lines elsewhere, nothing when quiet; the items pass through unchanged."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from distill import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that work moves on."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def work(items, seconds):
        for item in items:
            now[0] += seconds
            yield item

    return work


@pytest.fixture
def screen(monkeypatch):
    def use(terminal):
        stream = io.StringIO()
        monkeypatch.setattr(progress, "console", Console(file=stream, force_terminal=terminal, width=120, color_system=None))
        return stream

    return use


def test_short_work_says_nothing(clock, screen):
    stream = screen(False)
    assert list(progress.track(clock(range(10), 0.1), total=10, description="labelling")) == list(range(10))
    assert stream.getvalue() == ""


def test_long_work_says_how_much_is_left_and_what_it_took(clock, screen):
    stream = screen(False)
    list(progress.track(clock(range(100), 1.0), total=100, description="labelling", unit="sentences"))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "labelling: 30 of 100 sentences, 30 s, 1 min 10 s left"
    assert lines[-1] == "labelling: 100 sentences in 1 min 40 s"
    assert len(lines) == 4


def test_an_unknown_total_is_left_out(clock, screen):
    stream = screen(False)
    list(progress.track(clock(range(40), 1.0), total=None, description="reading"))
    assert stream.getvalue().splitlines() == ["reading: 30, 30 s", "reading: 40 in 40 s"]


def test_a_terminal_gets_a_bar(screen):
    stream = screen(True)
    assert list(progress.track("abc", total=3, description="[red]labelling", unit="rows")) == ["a", "b", "c"]
    assert "[red]labelling" in stream.getvalue()
    assert "left" in stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing(clock, screen, terminal):
    stream = screen(terminal)
    progress.set_quiet(True)
    progress.note("hello")
    assert list(progress.track(clock("abc", 100), total=3, description="labelling")) == ["a", "b", "c"]
    assert stream.getvalue() == ""


def test_a_note_is_one_plain_line(screen):
    stream = screen(False)
    progress.note("[bold]3 rows[/bold] " + "long " * 60)
    assert stream.getvalue() == "[bold]3 rows[/bold] " + "long " * 60 + "\n"


def test_an_error_inside_passes_through(screen):
    screen(True)

    def broken():
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(progress.track(broken(), total=2, description="x"))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.6, "1 min 0 s"), (95.2, "1 min 35 s"), (3600, "1 h 0 min"), (7261, "2 h 1 min")]
)
def test_seconds(seconds, text):
    assert progress.seconds_text(seconds) == text
