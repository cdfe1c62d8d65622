"""
Documents as people look for them and read them.
"""

import dataclasses
import json

import pytest

from tests.made_amd import AMD, MILAN, NAME
from tests.services.made import INTEL, KEY, day
from thim.amd.authorities import KeyKind
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key, vcek_key
from thim.collateral.ports import Held
from thim.collateral.records import ROOT_CA_CRL, tcb_info_key
from thim.collateral.targets import Target
from thim.intel.names import Tee
from thim.services.document_list import (
    ARCHIVED,
    MISSING,
    REVOKED,
    Filter,
    count_states,
    list_documents,
)
from thim.services.document_paths import find_path, list_paths
from thim.services.document_words import (
    MOST_REVOKED,
    MOST_TEXT,
    indent,
    name_file,
    read_body,
)
from thim.services.status import Promise
from thim.store.archive_view import Version
from thim.store.replica import Entry


def version(number=17, *, is_head=True, is_revoked=False, key=KEY):
    """
    A version that was issued on day 0 and lasts thirty days.
    """
    entry = Entry(
        key=key,
        evaluation_number=number,
        issued=day(0),
        next_update=day(30),
        sha256=bytes(32),
        size=1,
        source="x",
        is_head=is_head,
    )
    return Version(entry=entry, fetched=day(0), is_revoked=is_revoked)


def promise(number=17):
    """
    A promise of the same document.
    """
    target = Target(key=KEY, number=number)
    return Promise(target=target, head=None, state=None, progress=None)


def held(key, body):
    """
    A document as it is read back.
    """
    return Held(
        key=key,
        evaluation_number=None,
        body=body,
        issuer_chain=b"",
        issued=day(0),
        next_update=day(30),
        sha256=bytes(32),
        fetched=day(0),
    )


class TestList:
    @pytest.mark.parametrize(
        ("made", "now", "state"),
        [
            (version(), day(1), "fresh"),
            (version(), day(25), "stale"),
            (version(), day(31), "expired"),
            (version(is_revoked=True), day(1), REVOKED),
            (version(is_head=False), day(1), ARCHIVED),
        ],
        ids=["fresh", "stale", "expired", "revoked", "archived"],
    )
    def test_state(self, made, now, state):
        """
        A document stands as its newest version does.
        """
        (document,) = list_documents([made], [], now)

        assert state == document.state

    @pytest.mark.parametrize(
        ("versions", "promises", "is_urgent"),
        [
            ([version()], [promise()], True),
            ([version()], [], False),
            ([], [promise()], True),
        ],
        ids=["promised", "not-promised", "missing"],
    )
    def test_urgent(self, versions, promises, is_urgent):
        """
        Only what is promised is urgent when it is expired or missing.
        """
        (document,) = list_documents(versions, promises, day(31))

        assert is_urgent == document.is_urgent

    def test_order(self):
        """
        The highest number of a key comes first.
        """
        found = list_documents([version(9), version(17)], [promise(18)], day(1))

        assert [18, 17, 9] == [d.target.number for d in found]

    def test_counts(self):
        """
        Those that are promised are counted by how they stand.
        """
        found = list_documents(
            [version(9), version(17)], [promise(17), promise(18)], day(1)
        )

        assert {"fresh": 1, MISSING: 1} == count_states(found)

    def test_text(self):
        """
        A text is looked for anywhere in the name, in either case.
        """
        (document,) = list_documents([version()], [], day(1))

        assert Filter(text="00606a").lets(document)
        assert not Filter(text="00906").lets(document)


class TestBody:
    def test_json(self):
        """
        JSON is indented, and stays what it says.
        """
        body = INTEL.tcb_info()
        reading = read_body(held(KEY, body))

        assert json.loads(body) == json.loads(reading.text)

    def test_long(self):
        """
        A long text is cut off, and it is told.
        """
        reading = read_body(held(KEY, json.dumps(["x" * 99] * 9999).encode()))

        assert (MOST_TEXT, True) == (len(reading.text), reading.is_cut)

    @pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000])
    def test_unreadable(self, body):
        """
        What cannot be read is told, and no more.
        """
        assert read_body(held(KEY, body)).trouble

    def test_chain(self):
        """
        Of AMD's chains the certificates are told.
        """
        pem = AMD.chain(MILAN)
        key = cert_chain_key(KeyKind.VCEK, MILAN)
        found = read_body(held(key, pem)).certificates

        assert [("SEV-Milan", "ARK-Milan"), ("ARK-Milan", "ARK-Milan")] == [
            (each.subject, each.issuer) for each in found
        ]

    def test_crl(self):
        """
        Of a revocation list the latest revocations are told, and how many
        there are.
        """
        serials = list(range(1, MOST_REVOKED + 3))
        body = INTEL.root_crl(revoked=serials)
        crl = read_body(held(ROOT_CA_CRL, body)).crl

        assert crl is not None
        assert ("Intel SGX Root CA", len(serials), MOST_REVOKED) == (
            crl.issuer,
            crl.count,
            len(crl.revoked),
        )


class TestIndent:
    def test_short(self):
        """
        What is short stands on one line.
        """
        assert '{"a": [1, 2]}' == indent({"a": [1, 2]})

    def test_long(self):
        """
        What is long has a line for each member.
        """
        long = "x" * 50
        value = {"a": [long, long], "b": [], "c": {"d": long, "e": 1}}

        assert (
            f'{{\n  "a": [\n    "{long}",\n    "{long}"\n  ],\n  "b": [],\n'
            f'  "c": {{\n    "d": "{long}",\n    "e": 1\n  }}\n}}'
        ) == indent(value)


class TestFile:
    def test_name(self):
        """
        A file is named after its document.
        """
        it = dataclasses.replace(held(KEY, b""), evaluation_number=17)

        assert [
            f"intel-tcb-info-sgx-00606A000000-17-{'0' * 12}.json",
            f"intel-root-ca-crl-root-{'0' * 12}.crl",
        ] == [name_file(it), name_file(held(ROOT_CA_CRL, b""))]


class TestPaths:
    @pytest.mark.parametrize(
        ("key", "path"),
        [
            (
                tcb_info_key(Tee.TDX, bytes(6), 3),
                "/tdx/certification/v4/tcb?fmspc=000000000000",
            ),
            (
                tcb_info_key(Tee.SGX, bytes(6), 2),
                "/sgx/certification/v3/tcb?fmspc=000000000000",
            ),
            (tcb_info_key(Tee.SGX, bytes(6), 1), None),
            (
                cert_chain_key(KeyKind.VLEK, MILAN),
                "/vlek/v1/Milan/cert_chain",
            ),
            (amd_crl_key(KeyKind.VCEK, MILAN), "/vcek/v1/Milan/crl"),
            (vcek_key(NAME), None),
        ],
        ids=["tdx", "structure-2", "structure-1", "chain", "crl", "vcek"],
    )
    def test_path(self, key, path):
        """
        Each document has the path of its family.
        """
        assert path == find_path(key)

    def test_prefixes(self):
        """
        A number and an instant are chosen by what stands before the path.
        """
        path = "/sgx/certification/v4/tcb?fmspc=00606A000000"

        assert [
            path,
            f"/baseline/17{path}",
            f"/baseline/17/at/20250605T034345Z{path}",
        ] == [each for _, each in list_paths(KEY, 17, day(0))]

    def test_nowhere(self):
        """
        What is served nowhere has no paths.
        """
        assert [] == list_paths(vcek_key(NAME), None, day(0))
