import dataclasses

import pytest

from thim.collateral.ports import Held
from thim.collateral.records import ROOT_CA_CRL
from thim.simulate.pki import ISSUED


class TestHeld:
    def test_is_frozen(self):
        """
        What was read from the store cannot be changed on its way out.
        """
        held = Held(
            key=ROOT_CA_CRL,
            evaluation_number=None,
            body=b"",
            issuer_chain=b"",
            issued=ISSUED,
            next_update=None,
            sha256=bytes(32),
            fetched=ISSUED,
        )

        with pytest.raises(dataclasses.FrozenInstanceError, match="body"):
            held.body = b"other"  # type: ignore[misc]
