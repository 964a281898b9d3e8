"""How the runs of a study share the machine."""

import os

import pytest

from siamjax.config import ConfigError
from siamjax.studies.runs import Place, divide_machine


@pytest.fixture
def five_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {2, 3, 5, 8, 9}, raising=False)


def test_one_job_has_everything(five_cores):
    assert divide_machine((), 1) == [Place(gpu=None, cores=())]


def test_jobs_share_the_cores_that_this_process_has(five_cores):
    assert divide_machine((), 2) == [Place(cores=(2, 3)), Place(cores=(5, 8))]
    assert divide_machine((), 5) == [Place(cores=(core,)) for core in (2, 3, 5, 8, 9)]


def test_a_gpu_is_a_place(five_cores):
    assert divide_machine(("0", "3"), 1) == [Place(gpu="0"), Place(gpu="3")]


def test_where_processes_cannot_be_bound_jobs_share_all_cores(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert divide_machine((), 3) == [Place()] * 3


@pytest.mark.parametrize("jobs", [0, -1, 6])
def test_more_jobs_than_cores_are_refused(five_cores, jobs):
    with pytest.raises(ConfigError, match=rf"`jobs` \(={jobs}\) must be from 1 to the 5 cores"):
        divide_machine((), jobs)


def test_jobs_and_gpus_together_are_refused(five_cores):
    with pytest.raises(ConfigError, match="give one of them"):
        divide_machine(("0",), 2)
