import pytest

from cryptography import x509

from tests.collateral.intakes import (
    INTEL,
    OTHER,
    SECOND,
    YEAR,
    root_crl,
    take_certificate,
)
from thim.errors import MalformedError, UntrustedError
from thim.intel.authorities import Authority
from thim.simulate.pki import (
    ISSUED,
    ROOT_UNTIL,
    SIGNER_UNTIL,
)
from thim.x509.chain import CLOCK_SKEW


class TestCaCertificate:
    @pytest.mark.parametrize(
        ("certificate", "authority"),
        list(zip(INTEL.certificates, Authority, strict=True)),
    )
    def test_genuine(self, certificate, authority):
        """
        Each authority's certificate is verified under the root.
        """
        assert authority is take_certificate(certificate)

    def test_root_needs_nothing_else(self):
        """
        A root is judged by its key alone.
        """
        assert Authority.ROOT is take_certificate(INTEL.root, known=())

    def test_root_not_known_yet(self):
        """
        Without the root, what it has signed cannot be judged yet.
        """
        with pytest.raises(UntrustedError, match="no root certificate") as e:
            take_certificate(INTEL.signer, known=INTEL.certificates[1:])

        assert "no-issuer-chain" == e.value.reason

    def test_under_another_root_certificate(self):
        """
        Any root certificate over the pinned key will do.
        """
        again = INTEL.certificate(Authority.ROOT, since=ISSUED - YEAR)

        assert Authority.TCB_SIGNING is take_certificate(
            INTEL.signer, known=[again]
        )

    def test_expired(self):
        """
        A certificate that has expired signed old documents, so it is taken.
        """
        assert Authority.TCB_SIGNING is take_certificate(
            INTEL.signer, now=ROOT_UNTIL + YEAR
        )

    def test_foreign_root(self):
        """
        A root of the same name over another key is refused.
        """
        with pytest.raises(UntrustedError, match="is not pinned") as e:
            take_certificate(OTHER.root)

        assert "root-untrusted" == e.value.reason

    def test_below_a_foreign_root(self):
        """
        What a foreign root has signed is refused, although it is known.
        """
        with pytest.raises(UntrustedError, match="is not pinned"):
            take_certificate(OTHER.signer, known=OTHER.certificates)

    def test_right_name_wrong_issuer(self):
        """
        A signer of a stranger is not issued by the known root.
        """
        with pytest.raises(UntrustedError, match="no root certificate") as e:
            take_certificate(OTHER.signer)

        assert "no-issuer-chain" == e.value.reason

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("Intel SGX PCK Certificate", "pck-certificate"),
            ("Intel SGX PCK Certificate ", "foreign-certificate"),
            ("SEV-VCEK", "foreign-certificate"),
        ],
    )
    def test_no_authority(self, name, reason):
        """
        A certificate of another name is none of the four, and PCK
        certificates are told from foreign ones.
        """
        leaf = INTEL.certificate(
            Authority.TCB_SIGNING, name=name, issuer=Authority.PCK_PLATFORM
        )

        with pytest.raises(UntrustedError, match="not an Intel CA") as e:
            take_certificate(leaf)

        assert reason == e.value.reason

    @pytest.mark.parametrize("authority", Authority)
    def test_as_early_as_allowed(self, authority):
        """
        A certificate may begin five minutes from now.
        """
        certificate = INTEL.certificate(
            authority, since=ISSUED + CLOCK_SKEW, until=SIGNER_UNTIL
        )

        assert authority is take_certificate(certificate)

    @pytest.mark.parametrize("authority", Authority)
    def test_not_yet_valid(self, authority):
        """
        A second later is too late: it could have signed nothing yet.
        """
        certificate = INTEL.certificate(
            authority, since=ISSUED + CLOCK_SKEW + SECOND
        )

        with pytest.raises(UntrustedError, match="not valid before") as e:
            take_certificate(certificate)

        assert "certificate-dates" == e.value.reason

    def test_dates_that_do_not_meet(self):
        """
        A certificate that ended before its root began was never valid.
        """
        root = INTEL.certificate(Authority.ROOT, since=ISSUED)
        signer = INTEL.certificate(Authority.TCB_SIGNING, until=ISSUED - SECOND)

        with pytest.raises(UntrustedError, match="not at 2025-06-05") as e:
            take_certificate(signer, known=[root])

        assert "certificate-dates" == e.value.reason

    def test_revoked(self):
        """
        A certificate that the root has revoked builds no chain.
        """
        with pytest.raises(UntrustedError, match="is revoked") as e:
            take_certificate(INTEL.signer, root_crl=root_crl(INTEL.signer))

        assert "revoked" == e.value.reason

    def test_without_intels_extensions(self):
        """
        One that does not fit Intel's profile is malformed.
        """
        bare = INTEL.certificate(
            Authority.PCK_PLATFORM,
            without=[x509.CRLDistributionPoints],
        )

        with pytest.raises(MalformedError, match="extension") as e:
            take_certificate(bare)

        assert "certificate-extensions" == e.value.reason
