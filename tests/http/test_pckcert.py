"""
PCK certificates on the wire, in both shapes.
"""

import urllib.parse

import pytest

from cryptography import x509

from tests.http.machines import (
    AT,
    AZURE,
    PATHS,
    V4,
    ask_for,
    make_pck_store,
)
from tests.new_store import new_store
from tests.platforms import FMSPC, NOW, entry, tcbm
from tests.serving import serving
from thim.http.pcs import Profile
from thim.services.vendors import FillMode, VendorSettings
from thim.simulate.pki import Intel
from thim.store.ledger import Ledger
from thim.x509.chain import to_pem


@pytest.fixture(scope="module")
def intel():
    """
    An Intel that issues certificates.
    """
    return Intel()


@pytest.fixture(scope="module")
def store(intel, tmp_path_factory):
    """
    A store with some platforms.
    """
    return make_pck_store(tmp_path_factory.mktemp("pck") / "thim.db", intel)


@pytest.fixture(scope="module")
def served(store, intel):
    """
    The service at NOW.
    """
    with serving(store, lambda: NOW, anchors=intel.anchors) as running:
        yield running


class TestPem:
    @pytest.mark.parametrize("path", PATHS)
    def test_answer(self, served, intel, path):
        """
        Without an api-version: the PEM leaf, and in headers its chain, TCBm,
        FMSPC and CA.
        """
        got = served.get(f"{path}?{ask_for()}")
        leaf = x509.load_pem_x509_certificate(got.body)
        chain = to_pem([intel.platform_ca, intel.root])

        assert (200, "application/x-pem-file") == (
            got.status,
            got["content-type"],
        )
        assert leaf.issuer == intel.platform_ca.subject
        sent = got["sgx-pck-certificate-issuer-chain"]
        assert chain == urllib.parse.unquote_to_bytes(sent)
        assert sent.endswith("%0A")
        assert AT.to_bytes().hex().upper() == got["sgx-tcbm"]
        assert FMSPC.hex().upper() == got["sgx-fmspc"]
        assert "platform" == got["sgx-pck-certificate-ca-type"]
        assert "max-age=86400" == got["cache-control"]

    def test_case(self, served):
        """
        Digits come in either case.
        """
        small = ask_for(cpusvn=AT.cpusvn.hex())
        big = "&".join(
            f"{k}={v.upper()}" for k, v in urllib.parse.parse_qsl(small)
        )

        assert (
            served.get(f"{V4}?{small}").body == served.get(f"{V4}?{big}").body
        )

    @pytest.mark.parametrize("who", ["one", "unseen"])
    def test_raw_tcb(self, served, who):
        """
        The raw TCB decides: the best certificate at or below it, whether it
        was seen before or not.
        """
        got = served.get(f"{V4}?{ask_for(who, tcbm(7, 7, pcesvn=12))}")

        assert AT.to_bytes().hex().upper() == got["sgx-tcbm"]

    def test_etag(self, served):
        """
        Who has the answer already gets a 304 without it.
        """
        first = served.get(f"{V4}?{ask_for()}")
        again = served.get(
            f"{V4}?{ask_for()}", {"If-None-Match": first["etag"]}
        )

        assert (304, b"") == (again.status, again.body)

    def test_head(self, served):
        """
        HEAD has the headers of GET and no body.
        """
        path = f"{V4}?{ask_for()}"
        head, got = served.get(path, method="HEAD"), served.get(path)

        assert (200, b"") == (head.status, head.body)
        for name in ("content-length", "sgx-tcbm", "etag"):
            assert got[name] == head[name]

    def test_encrypted_ppid(self, served):
        """
        An encrypted PPID changes nothing for a platform that is known, be it
        all zeros or not.
        """
        bare = served.get(f"{V4}?{ask_for()}").body
        for digits in ("0" * 768, "aB" * 384):
            got = served.get(f"{V4}?{ask_for(encrypted_ppid=digits)}")
            assert (200, bare) == (got.status, got.body)

    def test_revoked(self, served):
        """
        A certificate that the PCK CRL lists is given, and flagged.
        """
        got = served.get(f"{V4}?{ask_for('revoked')}")

        assert (200, '299 - "revoked by the PCK CRL"') == (
            got.status,
            got["warning"],
        )

    @pytest.mark.parametrize("prefix", ["/baseline/early", "/baseline/default"])
    def test_baseline(self, served, prefix):
        """
        Below a baseline the answer is the same: QPL has one base URL.
        """
        bare = served.get(f"{V4}?{ask_for()}")
        got = served.get(f"{prefix}{V4}?{ask_for()}")

        assert (200, bare.body) == (got.status, got.body)

    def test_at(self, served):
        """
        Below an instant there is none.
        """
        got = served.get(f"/at/2026-08-31{V4}?{ask_for()}")

        assert (404, "unknown-path") == (got.status, got["thim-reason"])


class TestJson:
    @pytest.mark.parametrize("path", PATHS)
    def test_answer(self, served, intel, path):
        """
        With Azure's api-version: one object with all four members, as Azure's
        client needs them.
        """
        pem = served.get(f"{path}?{ask_for()}")
        got = served.get(
            f"{path}?{ask_for()}&{AZURE}", {"Content-Type": "application/json"}
        )

        assert (200, "application/json") == (got.status, got["content-type"])
        assert {
            "pckCert": pem.body.decode(),
            "sgx-Pck-Certificate-Issuer-Chain": pem[
                "sgx-pck-certificate-issuer-chain"
            ],
            "sgx-Tcbm": pem["sgx-tcbm"],
            "cacheMaxAge": "86400",
        } == got.json
        assert "max-age=86400" == got["cache-control"]
        assert pem["etag"] != got["etag"]

    @pytest.mark.parametrize("version", ["v2", "v3", "v4"])
    def test_metadata(self, served, version):
        """
        The link-local path answers in JSON, whatever the query says, to who
        sends the header.
        """
        path = f"/metadata/THIM/sgx/certification/{version}/pckcert"
        plain = served.get(f"{V4}?{ask_for()}&{AZURE}")
        for header in ({"metadata": "true"}, {"Metadata": "True"}):
            got = served.get(f"{path}?{ask_for()}", header)
            assert (200, plain.json) == (got.status, got.json)

    @pytest.mark.parametrize("header", [{}, {"Metadata": "false"}])
    def test_no_metadata(self, served, header):
        """
        Without the header it is a 400 that names it.
        """
        path = f"/metadata/THIM/sgx/certification/v4/pckcert?{ask_for()}"
        got = served.get(path, header)

        assert 400 == got.status
        assert b"Metadata" in got.body


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"qeid": None}, "qeid"),
            ({"qeid": "00" * 15}, "qeid"),
            ({"qeid": "0g" * 16}, "qeid"),
            ({"cpusvn": "00" * 17}, "cpusvn"),
            ({"cpusvn": None}, "cpusvn"),
            ({"pcesvn": "0b"}, "pcesvn"),
            ({"pcesvn": "+1b0"}, "pcesvn"),
            ({"pceid": "zzzz"}, "pceid"),
            ({"pceid": "00 00"}, "pceid"),
            ({"encrypted_ppid": "00" * 383}, "encrypted_ppid"),
            ({"encrypted_ppid": "xy" * 384}, "encrypted_ppid"),
        ],
    )
    @pytest.mark.parametrize("more", ["", f"&{AZURE}"])
    def test_malformed(self, served, changes, named, more):
        """
        Whatever cannot be read is a 400 that names the parameter.
        """
        query = ask_for(**changes).replace(" ", "%20")
        got = served.get(f"{V4}?{query}{more}")

        assert (400, "parameter") == (got.status, got["thim-reason"])
        assert named.encode() in got.body

    def test_no_ppid_in_errors(self, served):
        """
        No answer repeats an encrypted PPID.
        """
        digits = "ab" * 383
        got = served.get(f"{V4}?{ask_for(encrypted_ppid=digits)}")

        assert b"abab" not in got.body

    def test_unknown(self, served):
        """
        A platform that nobody knows: PCCS's own status on its shape, a plain
        404 without a body on Azure's.
        """
        pem = served.get(f"{V4}?{ask_for('nobody')}")
        azure = served.get(f"{V4}?{ask_for('nobody')}&{AZURE}")

        assert (461, "unknown-platform") == (pem.status, pem["thim-reason"])
        assert pem.body.startswith(b"The platform was not found in the cache.")
        assert (404, b"", "unknown-platform") == (
            azure.status,
            azure.body,
            azure["thim-reason"],
        )

    @pytest.mark.parametrize(
        "changes",
        [
            {"profile": Profile.THIM},
            {"profile": Profile.PCS},
            {"vendors": VendorSettings(mode=FillMode.LAZY)},
        ],
    )
    def test_unknown_elsewhere(self, store, intel, changes):
        """
        Under the other profiles, and where vendors are asked, it is a 404.
        """
        with serving(
            store, lambda: NOW, anchors=intel.anchors, **changes
        ) as running:
            got = running.get(f"{V4}?{ask_for('nobody')}")

        assert (404, "unknown-platform") == (got.status, got["thim-reason"])

    @pytest.mark.parametrize(
        ("who", "changes", "reason"),
        [
            ("bare", {}, "no-pck-certificate"),
            ("one", {"at": tcbm(0, 0)}, "tcb-too-low"),
            ("one", {"at": tcbm(4, 4, pcesvn=1)}, "tcb-too-low"),
            ("two", {"pce_id": "0001"}, "pceid-byte-order"),
            ("one", {"pcesvn": "000b"}, "pcesvn-byte-order"),
            ("unseen", {"pcesvn": "000b"}, "pcesvn-byte-order"),
        ],
    )
    def test_reason(self, served, who, changes, reason):
        """
        A 404 says why in a header.
        """
        got = served.get(f"{V4}?{ask_for(who, **changes)}")

        assert (404, reason) == (got.status, got["thim-reason"])

    def test_high_pcesvn(self, intel, tmp_path):
        """
        A PCESVN that certificates have is none with its bytes swapped.
        """
        path = tmp_path / "thim.db"
        new_store(path, intel.anchors)
        high = tcbm(4, 4, pcesvn=0x0B00)
        with Ledger(path, intel.anchors) as ledger:
            ledger.platforms.enter([entry(intel, "one", high)], NOW)
        with serving(path, lambda: NOW, anchors=intel.anchors) as running:
            got = running.get(f"{V4}?{ask_for(at=high)}")

        assert (200, high.to_bytes().hex().upper()) == (
            got.status,
            got["sgx-tcbm"],
        )

    def test_old_api(self, store, intel):
        """
        Where old versions are gone, so is this.
        """
        with serving(
            store, lambda: NOW, anchors=intel.anchors, old_api=False
        ) as running:
            for _ in range(2):
                assert 410 == running.get(f"{PATHS[1]}?{ask_for()}").status
                assert 200 == running.get(f"{V4}?{ask_for()}").status
