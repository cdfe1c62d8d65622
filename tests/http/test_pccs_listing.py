"""
Platforms as pccsadmin gets them.
"""

import contextlib

import pytest

from tests.http.administration import (
    AT,
    HEX,
    LOW,
    MANIFEST,
    PLATFORMS,
    by_manifest,
    enter,
    listed,
    named,
    register,
    registration,
    svns,
)
from tests.platforms import NOW, entry, platform_id, tcbm
from thim.errors import ParameterError
from thim.services.registrations import Registry
from thim.store.ledger import Ledger
from thim.store.replica import Replica
from thim.store.seal import Sealer


class TestList:
    def test_registered(self, pccs):
        """
        A registration is listed with PCCS's six keys, and how many there are
        in a header.
        """
        register(pccs, registration("one", AT))
        got = pccs.send("GET", PLATFORMS)

        assert (200, "1") == (got.status, got["platform-count"])
        assert "application/json; charset=utf-8" == got["content-type"]
        assert "no-store" == got["cache-control"]
        assert [
            {
                **named("one"),
                **svns(AT),
                "platform_manifest": "",
                "enc_ppid": "ab" * 384,
            }
        ] == got.json

    def test_manifest(self, pccs):
        """
        A platform's manifest is listed in clear, and nothing beside it.
        """
        register(pccs, {**registration("one", AT), **by_manifest()})

        assert [
            {
                **named("one"),
                "cpu_svn": "",
                "pce_svn": "",
                "platform_manifest": MANIFEST.lower(),
                "enc_ppid": "",
            }
        ] == listed(pccs)

    def test_hidden(self, pccs):
        """
        Who has read them has them hidden, as in PCCS; nothing is lost, and
        who registers again is listed again.
        """
        register(pccs, registration("one", AT))
        counts = [len(listed(pccs)) for _ in range(2)]
        kept = pccs.rows("SELECT state FROM registrations")
        register(pccs, registration("one", AT))

        assert [1, 0, 1] == [*counts, len(listed(pccs))]
        assert [("new",)] == kept

    def test_audited(self, pccs):
        """
        Whoever is given manifests is written down.
        """
        register(pccs, by_manifest())
        listed(pccs)

        assert ("platforms-read", "admin") == pccs.events()[-1]
        ((detail,),) = pccs.rows(
            "SELECT detail FROM events WHERE action = 'platforms-read'"
        )
        assert "1 handed out, 1 with manifest" in detail

    def test_key_lost(self, pccs, tmp_path):
        """
        Without the key nothing is handed out, nor hidden.
        """
        register(pccs, by_manifest())
        key = (tmp_path / "key").rename(tmp_path / "elsewhere")
        got = pccs.send("GET", PLATFORMS)
        key.rename(tmp_path / "key")

        assert (500, b"Internal server error occurred.\n") == (
            got.status,
            got.body,
        )
        assert 1 == len(listed(pccs))

    @pytest.mark.parametrize(
        "source", ["[]", f"[{HEX}]", f"[{HEX.lower()},{'0' * 12}]"]
    )
    def test_cached(self, pccs, intel, source):
        """
        Platforms of FMSPCs, or all, are listed at each raw TCB that has a
        certificate, secrets in capitals.
        """
        register(pccs, registration("one", AT))
        register(pccs, registration("one", LOW))
        enter(pccs, intel, entry(intel, "one", AT))

        assert [
            {
                **named("one"),
                **svns(AT),
                "platform_manifest": "",
                "enc_ppid": "AB" * 384,
            }
        ] == listed(pccs, source)

    def test_asked_with(self, pccs, intel):
        """
        Raw TCBs that somebody only asked with are no part of it, except the
        last one where none was registered.
        """
        enter(
            pccs,
            intel,
            entry(intel, "one", AT, raw=(AT,)),
            entry(intel, "two", AT),
        )
        asked = [tcbm(n, n) for n in (5, 6, 7)]
        with Ledger(pccs.store, intel.anchors) as ledger:
            for raw in asked:
                ledger.platforms.note_seen({}, {1: raw, 2: raw})

        assert {
            (platform_id("one").qe_id.hex().upper(), AT.cpusvn.hex().upper()),
            (
                platform_id("two").qe_id.hex().upper(),
                asked[-1].cpusvn.hex().upper(),
            ),
        } == {(row["qe_id"], row["cpu_svn"]) for row in listed(pccs, "[]")}

    def test_other_fmspc(self, pccs, intel):
        """
        Those of others are not.
        """
        enter(pccs, intel, entry(intel, "one", AT, raw=(AT,)))

        assert [] == listed(pccs, f"[{'0' * 12}]")

    @pytest.mark.parametrize(
        "source", ["x", "[x]", f"[{HEX}", HEX, f"[{HEX};{HEX}]", "reg_x"]
    )
    def test_other_source(self, pccs, source):
        """
        Another source is a 400.
        """
        got = pccs.send("GET", f"{PLATFORMS}?source={source}")

        assert 400 == got.status
        assert b"source: got" in got.body

    def test_too_many(self, pccs, intel):
        """
        A list that would not fit into memory is refused; FMSPCs make it
        shorter.
        """
        enter(pccs, intel, entry(intel, "one", LOW, raw=(LOW, AT)))
        with (
            Ledger(pccs.store, intel.anchors) as ledger,
            contextlib.closing(Replica(pccs.store)) as replica,
        ):
            registry = Registry(
                ledger=ledger,
                now=NOW,
                actor="me",
                open_sealer=lambda: Sealer(bytes(32)),
                most=1,
            )
            with pytest.raises(ParameterError, match="at most 1 rows"):
                registry.list_cached(replica, frozenset())

    def test_empty_source(self, pccs):
        """
        No source, and an empty one, are those that were registered.
        """
        register(pccs, registration("one", AT))

        assert 1 == len(listed(pccs, ""))
