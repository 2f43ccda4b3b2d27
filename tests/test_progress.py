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


def view(**options):
    return progress.TrainingView(100, "training", "agreement_spearman", **options)


def work(shown, steps):
    for _ in range(steps):
        shown.tick()


def test_a_training_says_a_line_with_each_dev_result(screen, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "memory_mb", lambda: 1510.4)
    stream = screen(False)
    shown = view()
    now[0] = 10.0
    work(shown, 50)
    shown.logged(0.5, {"cosine": 0.3, "matrix": 0.2})
    shown.judged(0.9)
    work(shown, 50)
    shown.judged(0.8)
    shown.close()
    told = "loss 0.5000 (cosine 0.3000, matrix 0.2000), dev agreement_spearman"
    assert [line for line in stream.getvalue().splitlines() if line.startswith("  step")] == [
        f"  step 50 of 100: {told} 0.9000; 10 s left, 1,510 MB",
        f"  step 100 of 100: {told} 0.8000; 1,510 MB",
    ]


def test_a_terminal_gets_a_panel_and_keeps_a_line(screen):
    stream = screen(True)
    shown = view(done=10)
    work(shown, 20)
    shown.logged(0.5, {"cosine": 0.3, "[red]matrix": 0.2})
    shown.judged(0.9)
    work(shown, 20)
    shown.judged(0.8)
    shown.close()
    text = stream.getvalue()
    for words in ("50/100", "cosine 0.3000", "[red]matrix 0.2000", "best 0.9000 at step 30", "memory", "left"):
        assert words in text
    assert "training: 50 of 100 steps in" in text.rstrip().splitlines()[-1]
    assert "best dev agreement_spearman 0.9000 at step 30" in text


def test_the_smallest_loss_is_the_best(screen):
    screen(False)
    shown = view(lower_is_better=True)
    for value in (0.5, 0.2, float("nan"), 0.4):
        shown.tick()
        shown.judged(value)
    assert shown.best == (0.2, 2)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_quiet_training_says_nothing(screen, terminal):
    stream = screen(terminal)
    progress.set_quiet(True)
    shown = view()
    shown.tick()
    shown.logged(0.5)
    shown.judged(0.9)
    shown.close()
    assert stream.getvalue() == ""


def test_watchers_hear_of_dev_results(screen):
    screen(False)
    heard = []
    with progress.watching(lambda: heard.append(1)):
        view().judged(0.5)
    view().judged(0.5)
    assert heard == [1]


def test_memory_is_that_of_this_process():
    before = progress.memory_mb()
    held = bytearray(60_000_000)
    held[::4096] = b"x" * len(held[::4096])
    assert 40 < progress.memory_mb() - before < 120
    assert len(held)
