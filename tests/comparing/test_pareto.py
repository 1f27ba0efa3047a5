from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bothways.comparing.pareto import Point, dominators

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
numbers = st.integers(1, 5)
fields = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12)


def points_of(pairs) -> list[Point]:
    return [Point(name=str(i), score=a / 10, speed=float(b)) for i, (a, b) in enumerate(pairs)]


def test_the_slower_and_worse_one_is_dominated():
    points = points_of([(5, 1), (3, 5), (3, 2), (5, 1)])
    assert dominators(points) == [None, None, 1, None], "equal ones do not dominate each other"


@patient
@given(fields)
def test_on_the_front_is_who_nobody_beats(pairs):
    points = points_of(pairs)

    def beats(one: Point, other: Point) -> bool:
        return (one.score >= other.score and one.speed >= other.speed) and (one.score, one.speed) != (
            other.score,
            other.speed,
        )

    found = dominators(points)
    for point, over in zip(points, found, strict=True):
        assert (over is None) == (not any(beats(other, point) for other in points))
        if over is not None:
            assert beats(points[over], point) and found[over] is None
