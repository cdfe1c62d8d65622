"""
All PCK certificates of a platform, and platforms by what Intel's PCS is asked
with.
"""

import json
import urllib.parse

import pytest

from cryptography import x509

from tests.http.machines import (
    AT,
    AZURE,
    LOW,
    V4,
    ask_for,
    fill_pck_store,
)
from tests.new_store import new_store
from tests.platforms import FMSPC, NOW, entry, platform_id
from tests.serving import serving
from thim.collateral.platforms import NameKind, RegisteredBy, digest_name
from thim.http.pcs import Profile
from thim.services.ingest import ingest
from thim.simulate.pki import Intel
from thim.store.ledger import Ledger
from thim.x509.chain import to_pem


LIST = f"{V4}s"
ENC_PPID = bytes(range(1, 193)) * 2
#: Not the same PPID by its beginning.
OTHER = ENC_PPID[:-1] + b"\0"
MANIFEST = b"a platform manifest" * 500
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def intel():
    """
    An Intel that issues certificates.
    """
    return Intel()


@pytest.fixture(scope="module")
def store(intel, tmp_path_factory):
    """
    A store with platforms that were registered by either.
    """
    return fill_pck_store(
        tmp_path_factory.mktemp("pcks") / "thim.db",
        intel,
        by_ppid(intel, "one", LOW, AT, raw=(AT,)),
        by_manifest(intel, "many"),
        entry(intel, "bare"),
        revoked=entry(intel, "revoked", AT, LOW),
    )


def by_ppid(intel, who, *at, enc_ppid=ENC_PPID, **changes):
    """
    A platform that was registered by its encrypted PPID.
    """
    values = {
        "enc_ppid": enc_ppid,
        "registered_by": RegisteredBy.ENCRYPTED_PPID,
        "names": name(NameKind.ENCRYPTED_PPID, enc_ppid),
        **changes,
    }
    return entry(intel, who, *at, **values)


def name(kind, secret):
    """
    By what a platform is named.
    """
    return {kind: digest_name(kind, secret, b"\0\0")}


def by_manifest(intel, who, manifest=MANIFEST):
    """
    A platform that was registered by its manifest.
    """
    return entry(
        intel,
        who,
        AT,
        registered_by=RegisteredBy.MANIFEST,
        manifest=b"sealed",
        names=name(NameKind.MANIFEST, manifest),
    )


@pytest.fixture(scope="module")
def served(store, intel):
    """
    The service at NOW.
    """
    with serving(store, lambda: NOW, anchors=intel.anchors) as running:
        yield running


def named(enc_ppid=ENC_PPID, pce_id="0000", more=""):
    """
    The query for a platform as PCS is asked.
    """
    return f"encrypted_ppid={enc_ppid.hex()}&pceid={pce_id}{more}"


def post(served, path, body, headers=JSON):
    """
    Send *body* as JSON.
    """
    return served.get(path, headers, "POST", json.dumps(body).encode())


def manifest_of(manifest=MANIFEST, **more):
    """
    What is sent of a platform with a manifest.
    """
    return {"platformManifest": manifest.hex(), "pceid": "0000", **more}


class TestList:
    @pytest.mark.parametrize("version", ["v2", "v3", "v4"])
    def test_answer(self, served, intel, version):
        """
        A list of TCBs and their certificates, in the vendor's order; in
        headers their chain, FMSPC and CA.
        """
        got = served.get(f"/sgx/certification/{version}/pckcerts?{named()}")
        chain = to_pem([intel.platform_ca, intel.root])

        assert (200, "application/json") == (got.status, got["content-type"])
        sent = got["sgx-pck-certificate-issuer-chain"]
        assert chain == urllib.parse.unquote_to_bytes(sent)
        assert FMSPC.hex().upper() == got["sgx-fmspc"]
        assert "platform" == got["sgx-pck-certificate-ca-type"]
        assert "max-age=86400" == got["cache-control"]
        assert [at.to_bytes().hex().upper() for at in (LOW, AT)] == [
            line["tcbm"] for line in got.json
        ]

    def test_line(self, served, intel):
        """
        A line has the SVNs by Intel's names, TCBm and the certificate, percent-
        encoded PEM.
        """
        line = served.get(f"{LIST}?{named()}").json[1]
        leaf = x509.load_pem_x509_certificate(
            urllib.parse.unquote_to_bytes(line["cert"])
        )

        assert leaf.issuer == intel.platform_ca.subject
        assert {"tcb", "tcbm", "cert"} == line.keys()
        names = [f"sgxtcbcomp{i:02}svn" for i in range(1, 17)]
        svns = dict(zip(names, AT.cpusvn, strict=True))
        assert {**svns, "pcesvn": AT.pcesvn} == line["tcb"]

    def test_by_qe_id(self, served):
        """
        A QE ID finds them too, as caches are asked.
        """
        qe_id = platform_id("one").qe_id.hex()
        got = served.get(f"{LIST}?qeid={qe_id}&pceid=0000")

        assert got.body == served.get(f"{LIST}?{named()}").body

    def test_by_manifest(self, served):
        """
        So does the manifest that was brought, byte for byte.
        """
        got = post(served, LIST, manifest_of())

        assert 200 == got.status
        assert [AT.to_bytes().hex().upper()] == [
            line["tcbm"] for line in got.json
        ]

    def test_revoked(self, served):
        """
        A revoked certificate is given, and that it is.
        """
        qe_id = platform_id("revoked").qe_id.hex()
        got = served.get(f"{LIST}?qeid={qe_id}&pceid=0000")

        assert 2 == len(got.json)
        assert '299 - "1 of them revoked by the PCK CRL"' == got["warning"]

    def test_unchanged(self, served):
        """
        Who has the list already gets a 304 without it; who posts gets it.
        """
        first = served.get(f"{LIST}?{named()}")
        condition = {"If-None-Match": first["etag"]}

        assert 304 == served.get(f"{LIST}?{named()}", condition).status
        posted = post(served, LIST, manifest_of())
        again = {**JSON, "If-None-Match": posted["etag"]}
        assert 200 == post(served, LIST, manifest_of(), again).status

    def test_baseline(self, served):
        """
        Below a baseline it is the same: tools have one base URL.
        """
        got = served.get(f"/baseline/19{LIST}?{named()}")

        assert got.body == served.get(f"{LIST}?{named()}").body

    @pytest.mark.parametrize("path", [LIST, V4])
    def test_unknown_baseline(self, served, path):
        """
        A baseline that nobody knows is a 404 here as everywhere.
        """
        got = served.get(f"/baseline/nonsense{path}?{named()}&{ask_for()}")

        assert (404, "unknown-baseline") == (got.status, got["thim-reason"])

    def test_no_past(self, served):
        """
        There is none below /at.
        """
        got = served.get(f"/at/2026-08-01{LIST}?{named()}")

        assert (404, "unknown-path") == (got.status, got["thim-reason"])


class TestOne:
    def test_by_encrypted_ppid(self, served):
        """
        One certificate is found by an encrypted PPID without a QE ID, as it is
        with one.
        """
        query = ask_for(qeid=None, encrypted_ppid=ENC_PPID.hex())
        got = served.get(f"{V4}?{query}")
        known = served.get(f"{V4}?{ask_for()}")

        assert 200 == got.status
        assert (known.body, known["sgx-tcbm"]) == (got.body, got["sgx-tcbm"])

    def test_by_manifest(self, served):
        """
        And by a manifest and the raw TCB.
        """
        body = manifest_of(cpusvn=AT.cpusvn.hex(), pcesvn="0b00")
        got = post(served, V4, body)

        assert 200 == got.status
        assert AT.to_bytes().hex().upper() == got["sgx-tcbm"]


class TestUnknown:
    @pytest.mark.parametrize("profile", Profile)
    def test_encrypted_ppid(self, store, intel, profile):
        """
        An encrypted PPID that nobody was registered with is a 404 in each
        profile, since PCS knows no other.
        """
        with serving(
            store, lambda: NOW, anchors=intel.anchors, profile=profile
        ) as served:
            got = served.get(f"{LIST}?{named(OTHER)}")

        assert (404, "unknown-encrypted-ppid") == (
            got.status,
            got["thim-reason"],
        )
        assert OTHER.hex().encode() not in got.body.lower()

    def test_other_pce_id(self, served):
        """
        The PCE ID counts, too.
        """
        got = served.get(f"{LIST}?{named(pce_id='0100')}")

        assert "unknown-encrypted-ppid" == got["thim-reason"]

    def test_manifest(self, served):
        """
        An unknown manifest is a 404 that does not repeat it.
        """
        manifest = MANIFEST[:-1] + b"?"
        got = post(served, LIST, manifest_of(manifest))

        assert (404, "unknown-manifest") == (got.status, got["thim-reason"])
        assert manifest.hex().encode() not in got.body

    @pytest.mark.parametrize(
        ("who", "pce_id", "reason"),
        [
            ("nobody", "0000", "unknown-platform"),
            ("one", "0001", "unknown-platform"),
            ("bare", "0000", "no-pck-certificate"),
        ],
    )
    def test_platform(self, served, who, pce_id, reason):
        """
        Who is not known, or has no certificate yet, is a 404 that says which.
        """
        qe_id = platform_id(who).qe_id.hex()
        got = served.get(f"{LIST}?qeid={qe_id}&pceid={pce_id}")

        assert reason == got["thim-reason"]
        assert got.status in {404, 461}

    def test_json_shape(self, served):
        """
        In Azure's shape a 404 has no body.
        """
        query = ask_for(qeid=None, encrypted_ppid=OTHER.hex())
        got = served.get(f"{V4}?{query}&{AZURE}")

        assert (404, b"") == (got.status, got.body)

    @pytest.mark.parametrize("first", [0, 1])
    @pytest.mark.parametrize(
        "other",
        [
            # One that nobody vouches for,
            {"is_vouched": False},
            # and one that was only said to have it.
            {"certificates": (), "is_complete": False},
        ],
    )
    def test_best_registration(self, intel, tmp_path, first, other):
        """
        Of two platforms under one encrypted PPID that is meant of which
        certificates came by it, and that somebody vouches for.
        """
        path = tmp_path / "thim.db"
        new_store(path, intel.anchors)
        owner = by_ppid(intel, "owner", AT)
        stranger = by_ppid(intel, "stranger", LOW, **other)
        entries = [stranger, owner] if first else [owner, stranger]
        with Ledger(path, intel.anchors) as ledger:
            files = [("ca.pem", to_pem(intel.certificates))]
            list(ingest(files, ledger=ledger, now=NOW))
            # The stranger has certificates all the same.
            ledger.platforms.enter([entry(intel, "stranger", LOW)], NOW)
            for one in entries:
                ledger.platforms.enter([one], NOW)
        with serving(path, lambda: NOW, anchors=intel.anchors) as served:
            got = served.get(f"{LIST}?{named()}")

        assert [AT.to_bytes().hex().upper()] == [
            line["tcbm"] for line in got.json
        ]


class TestBadInput:
    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("pceid=0000", "qeid"),
            (f"pceid=0000&encrypted_ppid={'0' * 768}", "qeid"),
            ("pceid=0000&encrypted_ppid=12", "encrypted_ppid"),
            (f"encrypted_ppid={ENC_PPID.hex()}", "pceid"),
            ("pceid=0000&qeid=12", "qeid"),
        ],
    )
    def test_query(self, served, query, names):
        """
        What is missing or malformed is a 400 that names it.
        """
        got = served.get(f"{LIST}?{query}")

        assert 400 == got.status
        assert f" {names}" in got.body.decode()

    @pytest.mark.parametrize(
        ("changes", "names"),
        [
            ({"platformManifest": None}, "platformManifest"),
            ({"platformManifest": ""}, "platformManifest"),
            ({"platformManifest": "abc"}, "platformManifest"),
            ({"platformManifest": "xy"}, "platformManifest"),
            ({"platformManifest": "ab" * 56443}, "platformManifest"),
            ({"pceid": "00"}, "pceid"),
            ({"pceid": None}, "pceid"),
            ({"pceid": 0}, "pceid"),
        ],
    )
    def test_body(self, served, changes, names):
        """
        So it is in a body, and a manifest is not repeated.
        """
        body = {**manifest_of(), **changes}
        body = {k: v for k, v in body.items() if v is not None}
        got = post(served, LIST, body)

        assert 400 == got.status
        assert names in got.body.decode()
        assert len(got.body) < 200

    def test_secret_as_a_key(self, served):
        """
        Nor is one repeated that stands in the place of a key.
        """
        key = b'"%b":"1"' % MANIFEST.hex().encode()
        got = served.get(LIST, JSON, "POST", b"{%b,%b}" % (key, key))

        assert (400, True) == (got.status, len(got.body) < 200)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":"1","a":"2"}'])
    def test_no_object(self, served, body):
        """
        A body that is no object of texts is a 400.
        """
        assert 400 == served.get(LIST, JSON, "POST", body).status

    def test_type(self, served):
        """
        A body is JSON by what is said of it.
        """
        got = post(served, LIST, manifest_of(), {"Content-Type": "text/plain"})

        assert (400, True) == (got.status, b"content-type" in got.body)

    def test_too_large(self, served):
        """
        A body of 200 KiB is a 413.
        """
        body = {**manifest_of(), "more": "x" * 200_000}

        assert 413 == post(served, LIST, body).status

    def test_raw_tcb_of_list(self, served):
        """
        One certificate needs a raw TCB; that is said before a platform is
        looked for.
        """
        got = post(served, V4, manifest_of(b"unknown"))

        assert (400, True) == (got.status, b"pcesvn" in got.body)


def test_gone(store, intel):
    """
    Where old versions are refused, a body is not read for them.
    """
    with serving(
        store, lambda: NOW, anchors=intel.anchors, old_api=False
    ) as served:
        got = post(served, "/sgx/certification/v3/pckcerts", [])

    assert (410, "old-api") == (got.status, got["thim-reason"])
