"""
Genuine quotes, damaged at random: what is left is the same or nothing.

A signature can be written in more than one way (in ECDSA s may be the order
less s; in a certificate zeros at its end may be called unused), so a quote may
be authentic and not be the original; what it says is the original's.
"""

import struct
import time

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.corpus import instant
from tests.conformance.quotes import (
    CAS,
    NAMES,
    documents_for,
    entries,
    library,
    refuse,
    verifier,
)
from thim.errors import ThimError
from thim.intel.quote import Quote


pytestmark = [
    pytest.mark.usefixtures("corpus"),
    # What cryptography warns of in damaged certificates is ours to judge.
    pytest.mark.filterwarnings("ignore"),
]

#: In seconds; one quote takes a few milliseconds.
LONGEST = 1.0


def open_quote(entry):
    """
    Return a quote, what verifies it, and when; None instead of what verifies
    it where the corpus has nothing.
    """
    raw = library().bytes(entry["name"])
    if entry["verdicts"]:
        row = entry["verdicts"][0]
        names = tuple(row[name] for name in NAMES)
        return raw, names, instant(row["now"])
    since, until = instant(entry["valid_from"]), instant(entry["valid_to"])
    assert entry["ca"] in CAS
    found = documents_for(
        entry["tee"], entry["fmspc"], entry["ca"], since, until
    )
    return (raw, *(found or (None, since)))


@pytest.fixture(scope="module")
def quotes(corpus):
    """
    All 157 quotes.
    """
    found = [open_quote(entry) for entry in entries()]
    assert 157 == len(found)
    return found


def is_authentic(raw, names, now):
    """
    Tell whether *raw* is an authentic quote; nothing may be raised, and it
    may not take long.
    """
    begin = time.perf_counter()
    try:
        quote = Quote(raw)
        if names is None:
            found = refuse(quote, now) is None
        else:
            verdict = verifier(names).verify(quote, now)
            found = verdict.is_authentic
            assert found == (verdict.failure is None)
    except ThimError:
        found = False
    assert LONGEST > time.perf_counter() - begin
    return found


def check(raw, *originals):
    """
    Check that *raw* is refused, unless it says what one of *originals* says.
    """
    said = [Quote(original).signed for original, _, _ in originals]
    for _, names, now in originals:
        if is_authentic(raw, names, now):
            assert Quote(raw).signed in said


def draw_quote(data, quotes):
    """
    Draw one of the quotes.
    """
    return quotes[data.draw(st.integers(0, len(quotes) - 1), label="quote")]


class TestMutated:
    def test_unchanged(self, quotes):
        """
        Without damage all are authentic, twice.
        """
        for original in [*quotes, *quotes]:
            assert is_authentic(*original)

    def test_one_bit_each(self, quotes):
        """
        None survives a flipped bit, in whichever part of it.
        """
        for i, (raw, names, now) in enumerate(quotes):
            for part in range(12):
                at = (len(raw) * part // 12 + 37 * i) % len(raw)
                changed = bytearray(raw)
                changed[at] ^= 1 << (i + part) % 8
                assert not is_authentic(bytes(changed), names, now)

    @settings(max_examples=800)
    @given(st.data())
    def test_flipped(self, quotes, data):
        """
        Nor does what it says survive several, wherever.
        """
        original = draw_quote(data, quotes)
        raw, _, _ = original
        bits = data.draw(
            st.sets(st.integers(0, 8 * len(raw) - 1), min_size=1, max_size=8)
        )
        changed = bytearray(raw)
        for bit in bits:
            changed[bit // 8] ^= 1 << bit % 8

        check(bytes(changed), original)

    @settings(max_examples=500)
    @given(st.data())
    def test_truncated(self, quotes, data):
        """
        Nor does one whose end is missing, or its beginning.
        """
        raw, names, now = draw_quote(data, quotes)
        at = data.draw(st.integers(1, len(raw) - 1))

        assert not is_authentic(raw[:at], names, now)
        assert not is_authentic(raw[at:], names, now)

    @settings(max_examples=500)
    @given(st.data())
    def test_extended(self, quotes, data):
        """
        Nor one that something was put into, or behind.
        """
        raw, names, now = draw_quote(data, quotes)
        at = data.draw(st.integers(0, len(raw)))
        more = data.draw(st.binary(min_size=1, max_size=64))

        changed = raw[:at] + more + raw[at:]

        assert not is_authentic(changed, names, now)

    @settings(max_examples=800)
    @given(st.data())
    def test_spliced(self, quotes, data):
        """
        Of two quotes no third is made: it would say what one of them says.
        """
        first = draw_quote(data, quotes)
        second = draw_quote(data, quotes)
        size = min(len(first[0]), len(second[0]))
        begin, end = sorted(
            data.draw(st.tuples(*[st.integers(0, size)] * 2), label="from, to")
        )

        changed = first[0][:begin] + second[0][begin:end] + first[0][end:]

        check(changed, first, second)

    @settings(max_examples=500)
    @given(st.data())
    def test_parts_exchanged(self, quotes, data):
        """
        Nor of the signed part of one, and the signature data of another.
        """
        first = draw_quote(data, quotes)
        second = draw_quote(data, quotes)
        one, other = Quote(first[0]), Quote(second[0])
        rest = second[0][len(other.signed) :]
        changed = one.signed + rest

        if one.signed != other.signed:
            for _, names, now in (first, second):
                assert not is_authentic(changed, names, now)

    @settings(max_examples=500)
    @given(st.data())
    def test_lengths(self, quotes, data):
        """
        Nor one with another number where a length may be, however large.
        """
        raw, names, now = draw_quote(data, quotes)
        quote = Quote(raw)
        lengths = [len(quote.signed), len(raw) - len(quote.voucher) - 64 - 4]
        certification = len(raw) - len(quote.certification_data)
        lengths += [
            certification - 4,
            certification - 6,
            certification - 8 - len(quote.authentication_data),
            50,
        ]
        at = data.draw(st.sampled_from(lengths))
        number = data.draw(
            st.sampled_from([0, 1, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1])
            | st.integers(0, 2**32 - 1)
        )

        changed = raw[:at] + struct.pack("<I", number) + raw[at + 4 :]

        if changed != raw:
            assert not is_authentic(changed, names, now)

    @settings(max_examples=500)
    @given(st.binary(max_size=1200))
    def test_anything(self, quotes, rest):
        """
        Any bytes at all are refused, with or without the head of a quote.
        """
        for raw, names, now in (quotes[0], quotes[-1]):
            assert not is_authentic(rest, names, now)
            assert not is_authentic(raw[:54] + rest, names, now)
