"""Ctrl-C and TERM, in programs of their own: signals belong to a whole process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

BOUND_SECONDS = 60
SWALLOWS = """
import signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pipelines.signals import Stopped, deferred, heeded, noticed

class Interrupted(BaseException):
    pass

def raises(*_):
    raise Interrupted

def framework():
    # As Dagster does: a handler of its own while it works, and what that raises is kept.
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, raises)
    signal.signal(signal.SIGTERM, raises)
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(never.wait)
            print("ready", flush=True)
            never.wait()
    except Interrupted:
        pass
    signal.signal(signal.SIGINT, before)
    signal.signal(signal.SIGTERM, before)

never = threading.Event()
"""
NOTICED = (
    SWALLOWS
    + """
import os
try:
    with heeded():
        with noticed("the sync is stopped"):
            framework()
        print("went on")
except Stopped as stopped:
    print(stopped.message, flush=True)
    os._exit(stopped.code)
"""
)
DEFERRED = (
    SWALLOWS
    + """
try:
    with heeded():
        with deferred():
            print("ready", flush=True)
            sys.stdin.readline()
            print("whole", flush=True)
        print("went on")
except Stopped as stopped:
    print(stopped.message)
    raise
"""
)
TWICE = (
    SWALLOWS
    + """
with heeded():
    try:
        print("ready", flush=True)
        never.wait()
    finally:
        print("cleaning", flush=True)
        sys.stdin.readline()
        print("clean", flush=True)
"""
)


def start(program: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_a_framework_keeps_to_itself_ends_the_block_although_threads_wait_on(
    number: signal.Signals, code: int
) -> None:
    process = start(NOTICED)
    process.send_signal(number)
    said, _ = process.communicate(timeout=BOUND_SECONDS)
    assert (said, process.returncode) == ("the sync is stopped\n", code)


def test_what_must_not_be_cut_in_two_is_done_first() -> None:
    process = start(DEFERRED)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate("\n", timeout=BOUND_SECONDS)
    assert (said, process.returncode) == ("whole\nstopped\n", 143)


def test_a_second_ctrl_c_does_not_cut_the_cleaning_short() -> None:
    process = start(TWICE)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate("\n", timeout=BOUND_SECONDS)
    assert (said, process.returncode) == ("clean\n", 130)
