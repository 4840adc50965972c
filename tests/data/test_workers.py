"""Work on many files, alone or shared out."""

import os
import threading
import warnings

import joblib
import pytest

from vitrail.data import workers
from vitrail.data.members import Member
from vitrail.errors import InputError, RunError


def members(count, size=1):
    return [Member(str(at), size, at) for at in range(count)]


@pytest.mark.parametrize("size", [1, 2**23, 2**26])
def test_chunks_cover_everything_once_in_order(size):
    bounds = list(workers.chunks(members(1234, size), 500))
    assert [start for start, _ in bounds] == [0, *(stop for _, stop in bounds[:-1])]
    assert bounds[-1][1] == 1234
    assert all((stop - start) * size <= max(size, 2**24) and stop - start <= 500 for start, stop in bounds)
    assert list(workers.chunks([], 500)) == []


@pytest.mark.parametrize("in_threads_seconds", [0, 9])
def test_results_come_with_their_place(monkeypatch, in_threads_seconds):
    monkeypatch.setattr(workers, "_IN_THREADS_SECONDS", in_threads_seconds)
    monkeypatch.setattr(workers, "_THREAD_FILES", 10)

    def names(start, some):
        return [member.name for member in some]

    found = dict(workers.over_chunks(names, members(95), "Naming"))
    assert [name for start in sorted(found) for name in found[start]] == [str(at) for at in range(95)]


def test_a_killed_process_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(workers, "_IN_THREADS_SECONDS", 0)
    monkeypatch.setattr(workers, "_CHUNK_FILES", 10)

    def die(start, some):
        os._exit(9)

    with pytest.raises(RunError, match="was killed"):
        list(workers.over_chunks(die, members(50), "Dying"))


def test_an_error_in_another_process_arrives_as_it_is(monkeypatch, capfd, recwarn):
    monkeypatch.setattr(workers, "_IN_THREADS_SECONDS", 0)
    monkeypatch.setattr(workers, "_CHUNK_FILES", 10)

    def fail(start, some):
        raise InputError(f"no good at {start}")

    with pytest.raises(InputError, match="no good at"):
        list(workers.over_chunks(fail, members(500), "Failing"))
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_threads_leave_the_filters_of_warnings_as_they_were(monkeypatch):
    """The worst order: who came second leaves last, and would put back what the first had set."""
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    second_came, first_left = threading.Event(), threading.Event()

    def change(start, some):
        if start == 0:
            with warnings.catch_warnings(action="error"):
                assert second_came.wait(9)
            first_left.set()
        else:
            with warnings.catch_warnings(action="error"):
                second_came.set()
                assert first_left.wait(9)

    before = list(warnings.filters)
    list(workers.over_chunks(change, members(17), "Warning"))
    assert warnings.filters == before
