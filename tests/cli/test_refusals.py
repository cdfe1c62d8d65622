import hashlib
import json

from tests.services.made import INTEL, NOW, fill, take


class TestRefused:
    def test_list(self, thim, ledger, our_store):
        """
        What was refused is listed with its digest, source and reason.
        """
        forged = INTEL.tcb_info()[:-20] + b"0" * 18 + b'"}'
        fill(ledger, INTEL.pck_crl())
        take(ledger, {"forged": forged}, NOW)
        (found,) = thim(
            "collateral", "refused", "--store", our_store, "--json"
        ).json

        assert "signature-invalid" == found["reason"]
        assert f"{NOW:%FT%TZ}" == found["first_seen"] == found["last_seen"]
        table = thim("collateral", "refused", "--store", our_store).text
        assert found["sha256"] in table
        assert "signature-invalid" in table

    def test_body(self, thim, ledger, our_store):
        """
        Its bytes are written as they were kept; a few digits will do.
        """
        ledger.quarantine(
            b"\x00raw", source="-", reason="r", detail="d", now=NOW
        )
        digest = hashlib.sha256(b"\x00raw").hexdigest()
        run = thim(
            "collateral", "refused", "--store", our_store, "--body", digest[:8]
        )

        assert (0, b"\x00raw") == (run.code, run.out)

    def test_no_such(self, thim, our_store):
        """
        A digest of nothing, or none at all, is said in one line.
        """
        for digest, message in (
            ("00" * 32, "is in quarantine"),
            ("xyz", "hexadecimal digits"),
        ):
            run = thim(
                "collateral", "refused", "--store", our_store, "--body", digest
            )
            assert 2 == run.code
            assert message in run.err

    def test_nothing(self, thim, our_store):
        """
        Where nothing was refused the list is empty.
        """
        run = thim("collateral", "refused", "--store", our_store, "--json")

        assert [] == json.loads(run.out)
