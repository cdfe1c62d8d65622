"""
No bit of a quote can be changed, and this is how each is found out.

What is not tried bit by bit is the PEM of the PCK chain.  One bit in it says
how many of the last bits of a certificate's signature are unused; where those
are zero it changes nothing, and neither what is signed nor by whom.
"""

import collections

import pytest

from tests.intel.quotes_made import (
    CHAIN,
    KINDS,
    NOW,
    TDX_KINDS,
    flip,
    good,
    parts_of,
    verifier,
    why,
)
from thim.errors import MalformedError
from thim.intel.quote import Quote
from thim.intel.steps import Step


def layout(**counts):
    """
    Count the bits whose change makes it no quote, by reason.
    """
    return {
        (Step.LAYOUT, reason.replace("_", "-")): count
        for reason, count in counts.items()
    }


#: What is the same in all quotes: signature, attestation key with
#: authentication data, QE report and its signature.
BINDING = {
    (Step.ATTESTATION_KEY, "attestation-key-binding"): 8 * (64 + 32),
    (Step.QE_REPORT, "qe-report-signature"): 8 * (384 + 64),
}
#: TEE_TCB_SVN[1] but for two bits: these make it another known module.
MODULE = {
    (Step.MODULE, "tdx-module-unknown"): 6,
    (Step.MODULE, "tdx-module-mrsignerseam"): 8 * 48,
    (Step.MODULE, "tdx-module-seamattributes"): 8 * 8,
}
#: Headers, bodies and the signature.
SIGNED = {
    "v3": 8 * (4 + 20 + 384 + 64),
    "v4": 8 * (4 + 20 + 584 - 56 + 64) - 6,
    "v5": 8 * (4 + 20 + 648 - 56 + 64) - 6,
}
COMMON = {"attestation_key_type": 16, "qe_vendor": 128, "tee_type": 32}
#: The reasons of each kind.  Version 3 turned 2 or 7 is unknown; 4 turned 5
#: has a body descriptor, 5 turned 4 another length.  A certification type of
#: 5 turned 1 has another size; authentication data of 32 bytes cannot lose
#: them and leave a type that is known.
LAYOUTS = {
    "v3": layout(
        **COMMON,
        quote_version=16,
        signature_size=32,
        authentication_size=4,
        certification_type=15,
        certification_size=45,
    ),
    "v4": layout(
        **COMMON,
        quote_version=15,
        body_type=1,
        signature_size=32,
        authentication_size=4,
        certification_type=31,
        certification_size=77,
    ),
    "v5": layout(
        **COMMON,
        quote_version=15,
        body_type=48,
        signature_size=33,
        authentication_size=4,
        certification_type=31,
        certification_size=77,
    ),
}


def judge_each(kind, places):
    """
    Flip the bits at *places*, one at a time, and say what becomes of each.
    """
    judge = verifier(kind)
    assert None is why(judge.verify(Quote(good(kind)), NOW))
    for at, bit in places:
        try:
            quote = Quote(flip(good(kind), at, bit))
        except MalformedError as e:
            yield Step.LAYOUT, e.reason
        else:
            yield why(judge.verify(quote, NOW))


@pytest.mark.parametrize("kind", KINDS)
class TestEveryBit:
    def test_before_the_chain(self, kind):
        """
        Each bit in front of the PCK chain is found out, for these reasons,
        though the quote was verified right before.
        """
        size = len(good(kind)) - len(parts_of(kind).certification_data)
        places = ((at, bit) for at in range(size) for bit in range(8))

        found = collections.Counter(judge_each(kind, places))

        expected = {
            **LAYOUTS[kind],
            **BINDING,
            **(MODULE if kind in TDX_KINDS else {}),
            (Step.QUOTE_SIGNATURE, "quote-signature"): SIGNED[kind],
        }
        assert expected == found
        assert 8 * size == found.total()

    def test_chain(self, kind):
        """
        So is each byte of the PCK chain, at the step that reads it.
        """
        size = len(parts_of(kind).certification_data)
        places = ((-1 - i, i % 8) for i in range(size))

        steps = {found and found[0] for found in judge_each(kind, places)}

        assert {CHAIN[0]} == steps
