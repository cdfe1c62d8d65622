"""
What is written for Intel's pccsadmin, taken in again by a PCCS: our own.
"""

import contextlib
import json

import pytest

from tests.http.administration import (
    AT,
    HIGH,
    MANIFEST,
    V4,
    administered,
    with_platform,
)
from tests.platforms import NOW
from thim.services.collateral_export import Layout, Wish, export_collateral
from thim.services.platform_files import read_documents, read_platforms
from thim.store.pck import PckReader
from thim.store.replica import Replica


#: What is to be the same: documents, machines and their certificates.
DOCUMENTS = """
    SELECT s.kind, s.subject, s.structure, s.evaluation_number, r.issued,
           r.next_update, hex(r.sha256), hex(r.signed_sha256), c.pem
      FROM records r
      JOIN series s ON s.id = r.series_id
      JOIN issuer_chains c ON c.id = r.chain_id
     ORDER BY 1, 2, 3, 4, 5
"""
PLATFORMS = """
    SELECT hex(p.qe_id), hex(p.pce_id), hex(p.fmspc), p.ca, hex(p.raw_tcbs),
           hex(s.enc_ppid), s.manifest IS NULL
      FROM platforms p LEFT JOIN platform_secrets s ON s.platform_id = p.id
     ORDER BY 1
"""


@pytest.fixture
def left(pccs, intel, tmp_path):
    """
    A store with documents and a machine, and what was written of it.
    """
    body = with_platform(intel, AT, HIGH, at=(AT, HIGH))
    assert 200 == pccs.send("PUT", f"{V4}/platformcollateral", body).status
    wish = Wish(layout=Layout.PCCSADMIN, tenant="root")
    export_collateral(pccs.store, wish, tmp_path / "out", NOW)
    return tmp_path / "out" / "platform_collaterals.json"


def certificates(store):
    """
    Return all PCK certificates of a store.
    """
    with contextlib.closing(Replica(store)) as replica:
        reader = PckReader(replica)
        return [
            (str(platform.id), held.tcbm, held.pem, held.issuer_chain)
            for platform in reader.platforms()
            for held in reader.certificates(platform)
        ]


class TestPccsadmin:
    def test_put(self, pccs, left, intel, tmp_path):
        """
        A PCCS takes the file, and has the same documents, machines and
        certificates then.
        """
        (tmp_path / "other").mkdir()
        with administered(intel, tmp_path / "other") as other:
            path = f"{V4}/platformcollateral"
            got = other.send("PUT", path, left.read_bytes())

            assert (200, b"Operation successful.") == (got.status, got.body)
            assert "thim-left-out" not in got
            for query in (DOCUMENTS, PLATFORMS):
                assert pccs.rows(query) == other.rows(query)
            assert 2 == len(certificates(other.store))
            assert certificates(pccs.store) == certificates(other.store)

    def test_import(self, left):
        """
        So do those who read such files machine by machine: `thim platform
        import`.
        """
        with left.open("rb") as file:
            sheets = list(read_platforms(file))
        with left.open("rb") as file:
            documents = list(read_documents(file))

        assert all(hasattr(sheet, "id") for sheet in sheets)
        assert len(documents) >= 8

    def test_mode(self, left):
        """
        The file is its owner's alone.
        """
        assert 0o600 == left.stat().st_mode & 0o777

    def test_manifests(self, pccs, intel, tmp_path):
        """
        Manifests are in it only where that was asked for.
        """
        body = with_platform(intel, AT)
        body["platforms"][0]["platform_manifest"] = MANIFEST
        pccs.send("PUT", f"{V4}/platformcollateral", body)
        for name, key_file in (("no", None), ("yes", tmp_path / "key")):
            wish = Wish(
                layout=Layout.PCCSADMIN, tenant="root", key_file=key_file
            )
            export_collateral(pccs.store, wish, tmp_path / name, NOW)
        written = {
            name: json.loads(
                (tmp_path / name / "platform_collaterals.json").read_bytes()
            )["platforms"][0]["platform_manifest"]
            for name in ("no", "yes")
        }

        assert {"no": "", "yes": MANIFEST.upper()} == written
