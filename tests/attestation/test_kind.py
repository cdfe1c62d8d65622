import pytest

from thim.attestation.kind import ATTESTED, AttestationType, find_type
from thim.errors import NotFoundError


class TestFindType:
    @pytest.mark.parametrize("kind", AttestationType)
    def test_letter_case(self, kind):
        """
        The letter case does not matter: samples write sevsnpvm.
        """
        assert kind is find_type(kind.value.lower())
        assert kind is find_type(kind.value.upper())

    @pytest.mark.parametrize("text", ["", "SgxEnclave ", "\u017fgxEnclave"])
    def test_unknown(self, text):
        """
        What is no type is an error that lists them.
        """
        with pytest.raises(NotFoundError, match="SgxEnclave, OpenEnclave"):
            find_type(text)

    def test_attested(self):
        """
        TPMs and Azure's guests have policies, but no tokens here.
        """
        assert {"SgxEnclave", "OpenEnclave", "SevSnpVm", "TdxVm"} == {
            each.value for each in ATTESTED
        }
