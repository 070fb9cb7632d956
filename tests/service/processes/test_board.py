"""Which models each process answers from."""

from __future__ import annotations

from service.processes.board import Board


def test_all_serve_once_none_that_is_ready_answers_from_other_models():
    board = Board(3)
    board.put_models(0, 5)
    board.put_models(1, 4)

    assert not board.all_serve(5)
    board.put_models(1, 5)
    assert board.all_serve(5)
    board.put_models(2, 4)
    assert not board.all_serve(5)
    board.clear(2)
    assert board.all_serve(5)


def test_a_process_has_the_fewest_connections_among_those_that_are_ready():
    board = Board(3)
    for number, connections in enumerate((4, 3, 0)):
        board.put_models(number, 5)
        board.put_connections(number, connections)
    board.clear(2)

    assert [board.has_fewest(number) for number in range(2)] == [False, True]
    board.put_connections(1, 4)
    assert [board.has_fewest(number) for number in range(2)] == [True, True]
    assert board.all_serve(5)
