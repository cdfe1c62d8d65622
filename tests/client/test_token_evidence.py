import datetime

from tests.client.signing import Maker, signers
from tests.client.test_signer_evidence import QUOTE, sgx, why
from thim.client.signer_evidence import SignerEvidence
from thim.client.token import Expectation, verify_token


class TestDemanded:
    def verify(self, maker, now, **expected):
        """
        Verify a token of a provider with evidence.
        """
        wanted = Expectation(issuer=maker.issuer, **expected)
        begins = int(now.timestamp())
        claims = maker.claims(exp=begins + 60, nbf=begins, iat=begins)
        return verify_token(maker.sign(claims), signers(maker), wanted, now)

    def test_verified(self):
        """
        What was verified is said to be.
        """
        seen: list[SignerEvidence] = []
        maker = Maker(extensions=((QUOTE, sgx()),))
        now = datetime.datetime(2026, 11, 2, 13, tzinfo=datetime.UTC)

        claims = self.verify(
            maker, now, require_evidence=True, check_evidence=seen.append
        )

        assert claims.is_evidence_verified
        assert [claims.evidence] == seen

    def test_missing(self):
        """
        What is demanded and not there is an error.
        """
        now = datetime.datetime(2026, 11, 2, 13, tzinfo=datetime.UTC)
        wanted = {"require_evidence": True, "check_evidence": print}

        assert "evidence-missing" == why(self.verify, Maker(), now, **wanted)[0]

    def test_only_if_there(self):
        """
        A check without a demand does not mind that there is none.
        """
        now = datetime.datetime(2026, 11, 2, 13, tzinfo=datetime.UTC)

        claims = self.verify(Maker(), now, check_evidence=print)

        assert not claims.is_evidence_verified

    def test_in_token(self):
        """
        A token by a signer whose evidence is another key's does not hold.
        """
        maker = Maker(extensions=((QUOTE, sgx(report_data=bytes(64))),))
        expected = Expectation(issuer=maker.issuer)
        now = datetime.datetime(2026, 11, 2, 13, tzinfo=datetime.UTC)

        reason, _ = why(
            verify_token, maker.sign(), signers(maker), expected, now
        )

        assert "evidence-binding" == reason
