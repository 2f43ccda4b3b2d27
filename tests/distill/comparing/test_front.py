"""The front and the choice, on points whose answer is seen at once."""

from distill.comparing.front import best_of, choose, on_front
from distill.comparing.schema import Candidate


def point(name, quality, p50_ms, file_mb=1.0):
    return Candidate(name=name, run=name, model="fast", quality=quality, p50_ms=p50_ms, file_mb=file_mb)


POINTS = [point("slow", 0.90, 9.0), point("middle", 0.89, 4.0), point("worse", 0.88, 5.0), point("quick", 0.80, 1.0)]


def test_the_front():
    assert on_front(POINTS) == [True, True, False, True]


def test_equal_points_are_both_on_it():
    assert on_front([point("a", 0.9, 1.0), point("b", 0.9, 1.0)]) == [True, True]


def test_what_is_not_known_is_not_on_it():
    assert on_front([point("a", None, 1.0), point("b", 0.9, None), point("c", 0.1, 9.0)]) == [False, False, True]


def test_the_fastest_within_the_tolerance_is_chosen():
    assert choose(POINTS, 0.01).name == "middle"
    assert choose(POINTS, 0.0).name == "slow"
    assert choose(POINTS, 0.5).name == "quick"
    assert choose([point("a", None, None)], 0.1) is None
    assert best_of(POINTS).name == "slow"


def test_of_equally_fast_ones_the_best_then_the_smallest():
    assert choose([point("a", 0.90, 1.0), point("b", 0.91, 1.0)], 0.1).name == "b"
    assert choose([point("a", 0.9, 1.0, 5.0), point("b", 0.9, 1.0, 2.0)], 0.1).name == "b"
