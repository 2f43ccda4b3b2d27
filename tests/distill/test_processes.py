import threading

import pytest
from torch.distributed import HashStore

from distill.errors import RunError, UserError
from distill.launch import Launch
from distill.processes import Crew, first, in_turn, leads


def test_alone_a_process_leads_and_waits_for_nobody() -> None:
    assert leads()
    assert first(lambda: 5) == in_turn(lambda: 5) == 5


def together(world: int, work) -> list[object]:
    """What `work(crew)` returned or raised in each of several processes: threads here, on one store."""
    store = HashStore()
    found: list[object] = [None] * world

    def run(rank: int) -> None:
        crew = Crew(Launch(rank, world), store)
        try:
            found[rank] = work(crew)
        except Exception as error:
            crew.fail(getattr(error, "exit_code", 3))
            found[rank] = (error, crew.speaks)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a process waits for ever"
    return found


def test_what_the_first_process_found_every_process_gets() -> None:
    made: list[int] = []

    def work(crew: Crew) -> list[object]:
        value = [crew.first(lambda: made.append(crew.rank) or {"value": [1.5, None]}), crew.first(lambda: crew.rank)]
        crew.meet()
        crew.leave()
        return value

    assert together(3, work) == [[{"value": [1.5, None]}, 0]] * 3
    assert made == [0]


@pytest.mark.parametrize("broken", [0, 2])
def test_when_one_fails_the_others_end_and_it_alone_speaks(broken: int) -> None:
    def work(crew: Crew) -> None:
        if crew.rank == broken:
            raise UserError("no such column")
        crew.meet()

    found = together(3, work)
    errors = [error for error, _ in found]
    assert [speaks for _, speaks in found] == [rank == broken for rank in range(3)]
    for rank, error in enumerate(errors):
        assert error.exit_code == 2
        assert rank == broken or (isinstance(error, RunError) and f"process {broken} of this run ended" in str(error))
