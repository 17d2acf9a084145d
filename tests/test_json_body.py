"""A JSON body as it came: what is no character is replaced, and what is cut off is told."""

from __future__ import annotations

import msgspec
import pytest

from resources.json_body import readable


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (rb'{"name": "\ud83d x"}', "\ufffd x"),
        (rb'{"name": "\uDE00\ud83d"}', "\ufffd\ufffd"),
        (rb'{"name": "\ud83d\ud83d\ude00"}', "\ufffd\U0001f600"),
        (rb'{"name": "\ud83d", "path": "C:\\ud83d"}', "\ufffd"),
        (b'{"name": "\xff x"}', "\ufffd x"),
    ],
    ids=["first half", "wrong way round", "before a pair", "beside a path", "no utf-8"],
)
def test_half_a_character_in_one_name_costs_that_character_alone(sent: bytes, read: str) -> None:
    content, whole = readable(sent)
    found = msgspec.json.decode(content)
    assert whole
    assert found["name"] == read
    assert found.get("path", r"C:\ud83d") == r"C:\ud83d"


@pytest.mark.parametrize("sent", [b'{"name": "a', rb'{"name": "\ud83d', b'{"name": "\xd0', b"{} {}"])
def test_a_body_that_does_not_reach_its_end_is_not_whole(sent: bytes) -> None:
    assert readable(sent)[1] is False


def test_a_sound_body_is_the_very_same() -> None:
    sent = '{"name": "Ёлка \\ud83d\\ude00"}'.encode()
    assert readable(sent)[0] is sent
