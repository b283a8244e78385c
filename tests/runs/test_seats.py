"""How the master of a cluster sends files to a seat, without a cluster."""

from __future__ import annotations

import itertools
from unittest.mock import Mock

from bench.runs.ray_cluster import _Seat
from bench.runs.seat import Needs
from bench.specs.budget import Resources


def test_a_file_may_be_asked_for_before_the_end_of_the_one_before_is_acknowledged(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"first")
    other.write_bytes(b"second")
    answers = (f"answer {i}" for i in itertools.count())
    ray = Mock()
    actor = ray.remote.return_value.options.return_value.remote.return_value
    actor.hear.remote.side_effect = actor.receive.remote.side_effect = lambda *_: next(answers)
    seat = _Seat(ray, Resources(), {"CPU": 1.0})

    def said(answer, content=None):
        seat.take(answer, content, Mock(), Mock())

    said(seat.news, [Needs(one)])
    (_, piece) = seat.awaited
    said(piece)
    news, end_of_one = seat.awaited
    said(news, [Needs(other)])  # both answers are there at once
    said(end_of_one)
    (_, piece) = seat.awaited
    said(piece)
    assert [call.args[0] for call in actor.receive.remote.call_args_list] == [b"first", None, b"second", None]
    said(seat.awaited[1])
    assert len(seat.awaited) == 1
