import pytest
from together import in_crew

from distill.errors import RunError, UserError
from distill.processes import Crew, first, in_turn, leads


def test_alone_a_process_leads_and_waits_for_nobody() -> None:
    assert leads()
    assert first(lambda: 5) == in_turn(lambda: 5) == 5


def test_what_the_first_process_found_every_process_gets() -> None:
    made: list[int] = []

    def work(crew: Crew) -> list[object]:
        value = [crew.first(lambda: made.append(crew.rank) or {"value": [1.5, None]}), crew.first(lambda: crew.rank)]
        crew.meet()
        crew.leave()
        return value

    assert in_crew(3, work) == [[{"value": [1.5, None]}, 0]] * 3
    assert made == [0]


@pytest.mark.parametrize("broken", [0, 2])
def test_when_one_fails_the_others_end_and_it_alone_speaks(broken: int) -> None:
    crews: dict[int, Crew] = {}

    def work(crew: Crew) -> None:
        crews[crew.rank] = crew
        if crew.rank == broken:
            raise UserError("no such column")
        crew.meet()

    errors = in_crew(3, work)
    assert [crews[rank].speaks for rank in range(3)] == [rank == broken for rank in range(3)]
    for rank, error in enumerate(errors):
        assert error.exit_code == 2
        assert rank == broken or (isinstance(error, RunError) and f"process {broken} of this run ended" in str(error))
