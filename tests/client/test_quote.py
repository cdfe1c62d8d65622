import contextlib

from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.corpus import Corpus
from thim.client import BadQuoteError, PckCa, PlatformModel, Tee
from thim.client.quote import read_pck_chain
from thim.errors import MalformedError
from thim.simulate.pck import Platform, pck_chain
from thim.simulate.pki import Intel
from thim.simulate.quote import (
    make_sgx_quote_v3,
    make_tdx_quote_v4,
    make_tdx_quote_v5,
)
from thim.x509.chain import to_pem


INTEL = Intel()
FMSPC = bytes.fromhex("00906ED50000")
PLATFORMS = {ca: Platform(fmspc=FMSPC, ca=ca) for ca in PckCa}
MAKERS: Any = {
    3: (Tee.SGX, make_sgx_quote_v3),
    4: (Tee.TDX, make_tdx_quote_v4),
    5: (Tee.TDX, make_tdx_quote_v5),
}
QUOTES = [make(INTEL, PLATFORMS[PckCa.PLATFORM]) for _, make in MAKERS.values()]
V3 = QUOTES[0]


def reason_of(quote):
    """
    Why *quote* is refused.
    """
    with pytest.raises(BadQuoteError) as e:
        PlatformModel.from_quote(quote)
    return e.value.reason


def certified(data, version=3):
    """
    A quote with *data* where the chain should be.
    """
    platform = PLATFORMS[PckCa.PLATFORM]
    return MAKERS[version][1](INTEL, platform, certification_data=data)


class TestQuotes:
    @pytest.mark.parametrize("ca", PckCa)
    @pytest.mark.parametrize("version", MAKERS)
    def test_model(self, version, ca):
        """
        TEE, FMSPC and CA are those of the PCK certificate inside.
        """
        tee, make = MAKERS[version]
        quote = make(INTEL, PLATFORMS[ca])

        expected = PlatformModel(tee=tee, fmspc=FMSPC, ca=ca)
        assert expected == PlatformModel.from_quote(quote)
        assert version == read_pck_chain(quote).version

    def test_order(self):
        """
        The chain may stand in any order, with a NUL behind it or none.
        """
        leaf, ca, root = pck_chain(INTEL, PLATFORMS[PckCa.PROCESSOR])

        model = PlatformModel.from_quote(certified(to_pem([leaf, root, ca])))

        assert PckCa.PROCESSOR is model.ca

    @pytest.mark.parametrize(
        "data",
        [b"", b"x", b"\0", to_pem(INTEL.certificates), b"-----BEGIN"],
    )
    @pytest.mark.parametrize("version", MAKERS)
    def test_no_chain(self, version, data):
        """
        Anything but a PCK certificate and its two issuers is refused.
        """
        assert "pck-chain" == reason_of(certified(data, version))

    @pytest.mark.parametrize("kind", [1, 2, 3, 4, 6, 7, 65535])
    def test_other_certification(self, kind):
        """
        A quote that only names its platform says that the platform is to be
        given.
        """
        at = V3.index(b"-----BEGIN") - 6
        quote = V3[:at] + kind.to_bytes(2, "little") + V3[at + 2 :]

        with pytest.raises(BadQuoteError, match="give a PlatformModel") as e:
            PlatformModel.from_quote(quote)
        assert "certification-type" == e.value.reason

    @pytest.mark.parametrize(
        ("at", "value", "reason"),
        [
            (0, b"\2", "version"),
            (0, b"\6", "version"),
            (2, b"\3", "key-type"),
            (4, b"\x81", "tee"),
            (4, b"\1", "tee"),
            (432, b"\0", "trailing"),
            (432, b"\xff\xff\xff\xff", "cut-off"),
        ],
    )
    def test_header(self, at, value, reason):
        """
        What the header must say, and lengths that are not true.
        """
        quote = V3[:at] + value + V3[at + len(value) :]

        assert reason == reason_of(quote)

    def test_body_of_other_kind(self):
        """
        In version 5 the size of a body is that of its kind, and the kind one
        of its TEE.
        """
        v5 = QUOTES[2]

        assert "body" == reason_of(v5[:48] + b"\1" + v5[49:])
        assert "body" == reason_of(v5[:50] + b"\0" + v5[51:])

    def test_outer(self):
        """
        From version 4 on, the certification data stand in data of their own
        type.
        """
        v4 = QUOTES[1]
        at = 636 + 128

        assert "outer" == reason_of(v4[:at] + b"\5" + v4[at + 1 :])

    def test_trailing(self):
        """
        Nothing follows a quote.
        """
        assert {"trailing"} == {reason_of(quote + b"\0") for quote in QUOTES}


class TestDamage:
    @given(st.sampled_from(QUOTES), st.data())
    def test_cut(self, quote, data):
        """
        No quote can be cut short.
        """
        size = data.draw(st.integers(0, len(quote) - 1))

        with pytest.raises(BadQuoteError):
            PlatformModel.from_quote(quote[:size])

    @given(st.sampled_from(QUOTES), st.data())
    def test_changed(self, quote, data):
        """
        Whatever is changed, the one error is raised, or none.
        """
        damaged = bytearray(quote)
        for _ in range(data.draw(st.integers(1, 8))):
            at = data.draw(st.integers(0, len(damaged) - 1))
            damaged[at] = data.draw(st.integers(0, 255))
        with contextlib.suppress(BadQuoteError):
            PlatformModel.from_quote(bytes(damaged))

    @given(st.binary(max_size=2000))
    def test_anything(self, raw):
        """
        Any bytes are refused by that error.
        """
        assert reason_of(raw)

    @given(st.sampled_from([3, 4, 5]), st.binary(max_size=300))
    def test_any_certification_data(self, version, data):
        """
        So is anything in the place of the chain.
        """
        assert "pck-chain" == reason_of(certified(data, version))


def test_fmspc():
    """
    An FMSPC has six bytes.
    """
    with pytest.raises(MalformedError, match="fmspc has 5 bytes, expected 6"):
        PlatformModel(tee=Tee.SGX, fmspc=b"12345", ca=PckCa.PLATFORM)


def test_str():
    """
    A model is written for people.
    """
    model = PlatformModel(tee=Tee.TDX, fmspc=FMSPC, ca=PckCa.PLATFORM)

    assert "TDX, FMSPC 00906ED50000, platform CA" == str(model)


class TestCorpus:
    def test_genuine(self, corpus):
        """
        Of every genuine quote the model is what the manifest says.
        """
        documents = Corpus.read(corpus)
        entries = documents.of("quote-sgx-v3", "quote-tdx-v4", "quote-tdx-v5")
        for entry in entries:
            model = PlatformModel.from_quote(documents.bytes(entry["name"]))
            assert (entry["tee"], entry["fmspc"], entry["ca"]) == (
                model.tee.value,
                model.fmspc.hex().upper(),
                model.ca.value,
            )
        assert 157 == len(entries)

    def test_bad(self, corpus):
        """
        Of the bad ones none raises anything but the one error.
        """
        documents = Corpus.read(corpus)
        refused = set()
        for entry in documents.of("negative-quote"):
            try:
                PlatformModel.from_quote(documents.bytes(entry["name"]))
            except BadQuoteError as e:
                refused.add(e.reason)
        assert "certification-type" in refused
