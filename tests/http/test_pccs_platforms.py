"""
Platforms by PCCS's routes: registered with a user token, listed with an
admin token.
"""

import asyncio
import contextlib
import sqlite3

import pytest

from tests.http.administration import (
    AT,
    LOW,
    MANIFEST,
    V3,
    V4,
    administered,
    by_manifest,
    enter,
    listed,
    named,
    register,
    registration,
)
from tests.platforms import entry, platform_id
from thim.errors import NotFoundError, UpstreamError


class TestRegister:
    @pytest.mark.parametrize("base", [V3, V4])
    @pytest.mark.parametrize(
        "query", ["", "?update=standard", "?update=EARLY", "?update=all"]
    )
    def test_answer(self, pccs, base, query):
        """
        A registration is answered as PCCS answers it; how it stands is in a
        header.
        """
        got = register(pccs, registration("one", AT), query, base)

        assert (200, b"Operation successful.") == (got.status, got.body)
        assert "text/html; charset=utf-8" == got["content-type"]
        assert "new" == got["thim-registration"]

    def test_event(self, pccs):
        """
        It is written down whose token that was; no secret is.
        """
        register(pccs, registration("one", AT))
        ((detail,),) = pccs.rows(
            "SELECT detail FROM events WHERE action = 'platform-register'"
        )

        assert [("platform-register", "registrar")] == pccs.events()
        assert str(platform_id("one")) in detail
        assert "ABABAB" not in detail

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"qe_id": "00" * 15}, b"$.qe_id"),
            ({"qe_id": "zz" * 16}, b"$.qe_id"),
            ({"qe_id": "00" * 16 + "\n"}, b"$.qe_id"),
            ({"pce_id": "000"}, b"$.pce_id"),
            ({"pce_id": 0}, b"$.pce_id"),
            ({"cpu_svn": ""}, b"$.cpu_svn"),
            ({"cpu_svn": None}, b"$.cpu_svn"),
            ({"pce_svn": "0"}, b"$.pce_svn"),
            ({"pce_svn": "000b"}, b"lower byte first: 0b00?"),
            ({"enc_ppid": "AB" * 383}, b"$.enc_ppid"),
            ({"enc_ppid": "00" * 384}, b"$.enc_ppid"),
            ({"platform_manifest": "abc"}, b"$.platform_manifest"),
        ],
    )
    def test_refused(self, pccs, changes, name):
        """
        What cannot be used is a 400 that names it, and nothing is kept.
        """
        got = register(pccs, registration("one", AT, **changes))

        assert 400 == got.status
        assert got.body.startswith(b"Invalid request parameters. ")
        assert name in got.body
        assert b"ABAB" not in got.body
        assert [] == pccs.rows("SELECT id FROM platforms")

    @pytest.mark.parametrize(
        "name", ["qe_id", "pce_id", "cpu_svn", "pce_svn", "enc_ppid"]
    )
    def test_missing(self, pccs, name):
        """
        Without a manifest all five are needed.
        """
        body = registration("one", AT)
        del body[name]
        got = register(pccs, body)

        assert 400 == got.status
        assert name.encode() in got.body

    def test_update(self, pccs):
        """
        Another update than Intel's is refused.
        """
        got = register(pccs, registration("one", AT), "?update=late")

        assert (400, "parameter") == (got.status, got["thim-reason"])

    def test_done_at_once(self, pccs, intel):
        """
        Where a certificate is there for the raw TCB, nothing is queued.
        """
        enter(pccs, intel, entry(intel, "one", LOW))
        got = register(pccs, registration("one", AT))

        assert "done" == got["thim-registration"]
        assert [] == listed(pccs)

    def test_too_low(self, pccs, intel):
        """
        Where there is none for it, it is.
        """
        enter(pccs, intel, entry(intel, "one", AT))
        got = register(pccs, registration("one", LOW))

        assert "new" == got["thim-registration"]
        assert 1 == len(listed(pccs))

    def test_sealed(self, pccs, tmp_path):
        """
        A manifest lies in the store sealed, with a key that is made for it.
        """
        register(pccs, by_manifest())
        ((sealed,),) = pccs.rows("SELECT manifest FROM platform_secrets")

        assert bytes.fromhex(MANIFEST) not in sealed
        assert (tmp_path / "key").exists()

    def test_same_manifest(self, pccs, intel):
        """
        The manifest that a platform's certificates came with is done at once;
        another one is not.
        """
        register(pccs, by_manifest())
        enter(pccs, intel, entry(intel, "one", AT))
        same = register(pccs, by_manifest())
        other = register(pccs, by_manifest(manifest="00" * 100))

        assert "done" == same["thim-registration"]
        assert "new" == other["thim-registration"]

    def test_absent_manifest(self, pccs):
        """
        Who comes without a manifest keeps the one that is there, and is asked
        for by it.
        """
        register(pccs, by_manifest())
        register(pccs, registration("one", AT))
        rows = listed(pccs)

        assert [MANIFEST.lower()] * 2 == [r["platform_manifest"] for r in rows]
        assert [("manifest",)] == pccs.rows(
            "SELECT registered_by FROM platforms"
        )

    def test_no_key_file(self, intel, tmp_path):
        """
        Where there is no place for a key, no manifest is taken.
        """
        folder = tmp_path / "other"
        folder.mkdir()
        with administered(intel, folder, key_file=None) as pccs:
            got = register(pccs, by_manifest())

            assert 500 == got.status
            assert [] == pccs.rows("SELECT id FROM platforms")


def test_cannot_be_written(intel, tmp_path):
    """
    A store that takes nothing now, such as one on a full disk, is an empty
    503: it may be tried again.
    """
    with administered(intel, tmp_path) as pccs:
        with contextlib.closing(sqlite3.connect(pccs.store)) as db, db:
            db.execute(
                "CREATE TRIGGER full BEFORE INSERT ON platforms "
                "BEGIN SELECT RAISE(ABORT, 'no space'); END"
            )
        got = register(pccs, registration("one", AT))

    assert (503, b"") == (got.status, got.body)
    assert ("store-write", "1") == (got["thim-reason"], got["retry-after"])


class TestFetched:
    def test_wanted(self, pccs, intel):
        """
        A new platform's certificates are wanted of the vendor, and its state
        is what came of that.
        """
        wanted = []

        async def want(platform):
            await asyncio.sleep(0)
            enter(pccs, intel, entry(intel, "one", AT))
            wanted.append(platform)

        pccs.served.state["service"].want_platform = want
        got = register(pccs, registration("one", AT))
        register(pccs, registration("one", AT))

        assert "done" == got["thim-registration"]
        assert [platform_id("one")] == wanted

    @pytest.mark.parametrize(
        ("error", "state"),
        [
            (NotFoundError("no", reason="vendor-has-none"), "not-available"),
            (UpstreamError("no"), "new"),
        ],
    )
    def test_trouble(self, pccs, error, state):
        """
        It is registered whatever the vendor says.
        """

        async def want(platform):
            raise error

        pccs.served.state["service"].want_platform = want
        got = register(pccs, registration("one", AT))

        assert (200, state) == (got.status, got["thim-registration"])

    def test_not_available(self, pccs):
        """
        What the vendor has no certificate for is in the other list.
        """

        async def want(platform):
            msg = "no"
            raise NotFoundError(msg)

        pccs.served.state["service"].want_platform = want
        register(pccs, registration("one", AT))

        assert [] == listed(pccs)
        assert [named("one")["qe_id"]] == [
            row["qe_id"] for row in listed(pccs, "reg_na")
        ]
        assert [] == listed(pccs, "reg_na")
