"""
Platforms' certificates that pccsadmin puts.
"""

import concurrent.futures
import threading

import pytest

from tests.http.administration import (
    AT,
    COUNTS,
    HIGH,
    LOW,
    NOTHING,
    V4,
    by_manifest,
    certified,
    chain,
    pckcert,
    register,
    registration,
    upload,
    with_platform,
)
from tests.platforms import platform_id


PUT = f"{V4}/platformcollateral"


class TestPlatforms:
    def test_answered(self, pccs, intel):
        """
        A platform gets the best certificate that came for its raw TCB, which
        its registration is done by.
        """
        register(pccs, registration("one", HIGH))
        body = with_platform(intel, HIGH, LOW, at=(LOW, AT))
        got = pccs.send("PUT", PUT, body)

        assert 200 == got.status
        assert AT.to_bytes().hex().upper() == pckcert(pccs, HIGH)["sgx-tcbm"]
        assert LOW.to_bytes().hex().upper() == pckcert(pccs, LOW)["sgx-tcbm"]
        assert [("done",)] == pccs.rows("SELECT state FROM registrations")

    def test_replaced(self, pccs, intel):
        """
        A platform's certificates are those of the last upload, and its raw
        TCBs are selected for anew.
        """
        pccs.send("PUT", PUT, with_platform(intel, HIGH, at=(LOW, AT)))
        pccs.send("PUT", PUT, with_platform(intel, at=(LOW,)))

        assert LOW.to_bytes().hex().upper() == pckcert(pccs, HIGH)["sgx-tcbm"]

    def test_at_once(self, pccs, intel):
        """
        Who was told that it is written gets nothing older from that worker,
        however many ask meanwhile.
        """
        uploads = (LOW, AT) * 5
        is_done = threading.Event()

        def ask_on():
            while not is_done.is_set():
                pckcert(pccs, HIGH)

        found = []
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asking = pool.submit(ask_on)
            try:
                for at in uploads:
                    pccs.send("PUT", PUT, with_platform(intel, HIGH, at=(at,)))
                    found.append(pckcert(pccs, HIGH)["sgx-tcbm"])
            finally:
                is_done.set()
            asking.result()

        assert [at.to_bytes().hex().upper() for at in uploads] == found

    def test_too_low(self, pccs, intel):
        """
        A raw TCB without a certificate is a 400, and nothing of the upload is
        kept.
        """
        before = pccs.rows(COUNTS)
        got = pccs.send("PUT", PUT, with_platform(intel, LOW))

        assert (400, "tcb-too-low") == (got.status, got["thim-reason"])
        assert before == pccs.rows(COUNTS)

    def test_too_low_since(self, pccs, intel):
        """
        A raw TCB that the body does not name is no reason to refuse it: it has
        no answer then.
        """
        pccs.send("PUT", PUT, with_platform(intel, LOW, at=(LOW,)))
        got = pccs.send("PUT", PUT, with_platform(intel))

        assert 200 == got.status
        assert 404 == pckcert(pccs, LOW).status

    def test_asked_in_vain(self, pccs, intel):
        """
        A raw TCB that never had an answer is no reason: anybody may have
        asked with it.
        """
        register(pccs, registration("one", LOW))

        assert 200 == pccs.send("PUT", PUT, with_platform(intel, AT)).status

    def test_case(self, pccs, intel):
        """
        Platforms belong to certificates when they are written alike, letter
        for letter, as in PCCS.
        """
        body = with_platform(intel, AT)
        qe_id = body["platforms"][0]["qe_id"]
        body["platforms"][0]["qe_id"] = qe_id.lower()
        pccs.send("PUT", PUT, body)

        assert [(b"",)] == pccs.rows("SELECT raw_tcbs FROM platforms")

    def test_secrets(self, pccs, intel):
        """
        What the vendor is asked with is kept: the manifest sealed.
        """
        body = with_platform(intel, AT)
        body["platforms"][0]["platform_manifest"] = "00FF" * 20
        pccs.send("PUT", PUT, body)
        got = pccs.send("GET", f"{V4}/platforms?source=[]")

        assert ("00FF" * 20, "AB" * 384) == (
            got.json[0]["platform_manifest"],
            got.json[0]["enc_ppid"],
        )

    def test_by_manifest(self, pccs, intel):
        """
        A platform that was registered by a manifest stays so.
        """
        register(pccs, by_manifest())
        got = pccs.send("PUT", PUT, with_platform(intel, AT))

        assert 200 == got.status
        assert [("manifest",)] == pccs.rows(
            "SELECT registered_by FROM platforms"
        )

    def test_not_available(self, pccs, intel):
        """
        TCBs for which Intel has no certificate are passed over.
        """
        body = with_platform(intel, AT)
        certs = body["collaterals"]["pck_certs"][0]["certs"]
        certs.append({**certs[0], "cert": "Not available", "tcbm": "FF" * 18})

        assert 200 == pccs.send("PUT", PUT, body).status

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"tcbm": "00" * 18}, b"certs[0].tcbm"),
            ({"tcb": {"pcesvn": 1}}, b"certs[0].tcb.pcesvn"),
            ({"tcb": {"sgxtcbcomp02svn": 5}}, b"certs[0].tcb.sgxtcbcomp02svn"),
            ({"tcb": {"pcesvn": "11"}}, b"certs[0].tcb"),
            ({"cert": "nothing"}, b"certs[0].cert"),
            ({"cert": ""}, b"certs[0].cert"),
            ({"cert": "Not available"}, b"pck_certs[0]"),
        ],
    )
    def test_contradiction(self, pccs, intel, changes, name):
        """
        What is said of a certificate must be what it says.
        """
        body = with_platform(intel, AT)
        body["collaterals"]["pck_certs"][0]["certs"][0] |= changes
        got = pccs.send("PUT", PUT, body)

        assert 400 == got.status
        assert name in got.body
        assert NOTHING == pccs.rows(COUNTS)

    def test_two_certificates(self, pccs, intel):
        """
        A certificate comes without its chain, which has its own place.
        """
        body = with_platform(intel, AT)
        (cert,) = body["collaterals"]["pck_certs"][0]["certs"]
        cert["cert"] += chain(intel.platform_ca)
        got = pccs.send("PUT", PUT, body)

        assert 400 == got.status
        assert b"got '2 certificates'" in got.body

    @pytest.mark.parametrize(
        "changes", [{"fmspc": bytes(6)}, {"pce_id": b"\1\0"}]
    )
    def test_not_of_the_platform(self, pccs, intel, changes):
        """
        Certificates of another FMSPC than the first, or of another PCE ID
        than it is said, are a mistake.
        """
        body = with_platform(intel, AT)
        more = certified(intel, "one", LOW, **changes)["certs"]
        body["collaterals"]["pck_certs"][0]["certs"] += more
        got = pccs.send("PUT", PUT, body)

        assert 400 == got.status
        assert b"$.collaterals.pck_certs[0]: " in got.body
        assert NOTHING == pccs.rows(COUNTS)

    def test_other_fmspc(self, pccs, intel):
        """
        The TCB info by which certificates are selected must come with them.
        """
        got = pccs.send("PUT", PUT, with_platform(intel, AT, tcbinfos=[]))

        assert (400, "tcb-info") == (got.status, got["thim-reason"])
        assert NOTHING == pccs.rows(COUNTS)

    def test_twice(self, pccs, intel):
        """
        A platform comes once.
        """
        certs = certified(intel, "one", AT)
        got = pccs.send("PUT", PUT, upload(intel, pck_certs=[certs, certs]))

        assert 400 == got.status
        assert str(platform_id("one")).encode() in got.body
