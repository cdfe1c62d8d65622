import dataclasses
import hashlib

import pytest

from cryptography import x509

from tests.collateral.intakes import (
    INTAKE,
    INTEL,
    OTHER,
    SECOND,
    root_crl,
    take_crl,
)
from thim.collateral.intake import (
    verify_crl,
)
from thim.errors import UntrustedError
from thim.intel.authorities import Authority
from thim.intel.names import PckCa
from thim.simulate.pki import (
    ISSUED,
    LIFETIME,
    ROOT_UNTIL,
    SIGNER_UNTIL,
)
from thim.x509.chain import CLOCK_SKEW, to_pem
from thim.x509.crl import Crl


class TestCrl:
    @pytest.mark.parametrize(
        ("der", "key", "issuer"),
        [
            (INTEL.root_crl(), "root-ca-crl/root/0", ()),
            (
                INTEL.pck_crl(ca=PckCa.PROCESSOR),
                "pck-crl/processor/0",
                (INTEL.processor_ca,),
            ),
            (INTEL.pck_crl(), "pck-crl/platform/0", (INTEL.platform_ca,)),
        ],
    )
    def test_record(self, der, key, issuer):
        """
        Each of the three lists becomes a record with its own chain.
        """
        record = take_crl(der)

        assert f"intel/{key}" == str(record.key)
        assert der == record.body
        assert to_pem([*issuer, INTEL.root]) == record.issuer_chain
        assert record.evaluation_number is None
        assert ISSUED == record.issued
        assert ISSUED + LIFETIME == record.next_update
        expected = hashlib.sha256(Crl.from_der(der).signed).digest()
        assert expected == record.signed_sha256

    @pytest.mark.parametrize(
        "name", ["Intel SGX TCB Signing", "Intel SGX PCK Platform", "ARK-Milan"]
    )
    def test_of_nobody_we_know(self, name):
        """
        Whoever else issues a list, it is not wanted.
        """
        der = INTEL.crl(Authority.ROOT, name=name)

        with pytest.raises(UntrustedError, match=f"CRL of '{name}'") as e:
            take_crl(der)

        assert "unknown-issuer" == e.value.reason

    def test_forged(self):
        """
        A list that another key has signed is refused.
        """
        der = INTEL.crl(Authority.ROOT, key=INTEL.key("mallory"))

        with pytest.raises(UntrustedError, match="is not that of any") as e:
            take_crl(der)

        assert "signature-invalid" == e.value.reason

    def test_foreign(self):
        """
        So is a list of a whole foreign PKI.
        """
        with pytest.raises(UntrustedError, match="is not pinned") as e:
            take_crl(OTHER.root_crl(), known=OTHER.certificates)

        assert "root-untrusted" == e.value.reason

    def test_chain_missing(self):
        """
        Without its issuer's certificate a list cannot be judged.
        """
        with pytest.raises(UntrustedError, match="no issuer chain") as e:
            take_crl(INTEL.pck_crl(), known=[INTEL.root, INTEL.processor_ca])

        assert "no-issuer-chain" == e.value.reason

    def test_issuer_with_another_subject(self):
        """
        The issuer's whole name must be the list's, not its common name only.
        """
        other = dataclasses.replace(
            Crl.from_der(INTEL.root_crl()),
            issuer=x509.Name(list(INTEL.root.subject)[:1]),
        )

        with pytest.raises(UntrustedError, match="CRL is issued by") as e:
            verify_crl(other, INTAKE, source="test")

        assert "issuer" == e.value.reason

    def test_not_yet_valid(self):
        """
        A list of the future is refused.
        """
        with pytest.raises(UntrustedError, match="in the future") as e:
            take_crl(INTEL.pck_crl(), now=ISSUED - CLOCK_SKEW - SECOND)

        assert "not-yet-valid" == e.value.reason

    def test_old(self):
        """
        A list of long ago is taken: it belongs into the archive.
        """
        assert ISSUED == take_crl(INTEL.pck_crl(), now=ROOT_UNTIL).issued

    def test_issuer_expired_at_this_update(self):
        """
        Its issuer must have been valid when it was issued.
        """
        der = INTEL.pck_crl(issued=SIGNER_UNTIL + SECOND)

        with pytest.raises(UntrustedError, match="no issuer chain"):
            take_crl(der, now=ROOT_UNTIL)

    def test_issuer_revoked(self):
        """
        The list of a PCK CA that the root has revoked is refused.
        """
        with pytest.raises(UntrustedError, match="is revoked") as e:
            take_crl(INTEL.pck_crl(), root_crl=root_crl(INTEL.platform_ca))

        assert "revoked" == e.value.reason

    def test_the_crl_number_orders_nothing(self):
        """
        Any CRL number will do.
        """
        for number in (0, 1, 77):
            assert ISSUED == take_crl(INTEL.root_crl(number=number)).issued
