"""
How an answer is sent.
"""

import asyncio

import pytest

from thim.http.reply import Reply, send_reply


def send(method="GET", **changes):
    """
    Send an answer, and return its headers and its body.
    """
    values = {"status": 200, "headers": ((b"etag", b'"1"'),), **changes}
    messages = []

    async def keep(message):
        await asyncio.sleep(0)
        messages.append(message)

    reply = Reply(body=values.pop("body", b"abc"), **values)
    asyncio.run(send_reply({"method": method}, keep, reply, b"me", 100.9))
    start, body = messages
    return dict(start["headers"]), body["body"]


def test_get():
    """
    An answer has its own headers, its length and the request's ID.
    """
    headers, body = send()

    assert b"abc" == body
    assert {
        b"etag": b'"1"',
        b"content-length": b"3",
        b"request-id": b"me",
    } == headers


def test_head():
    """
    The answer to HEAD has the same headers and no body.
    """
    headers, body = send("HEAD")

    assert send()[0] == headers
    assert b"" == body


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless(status):
    """
    An answer that has no content has no length either.
    """
    headers, body = send(status=status)

    assert b"content-length" not in headers
    assert b"" == body


@pytest.mark.parametrize(
    ("since", "age"), [(90.0, b"10"), (100.0, b"0"), (200.0, b"0")]
)
def test_age(since, age):
    """
    An age counts in whole seconds and is never negative.
    """
    assert age == send(aged_since=since)[0][b"age"]
