import datetime
import itertools

import pytest

from cryptography import x509

from thim.errors import MalformedError, UntrustedError
from thim.intel.authorities import (
    INTEL_SGX_ROOT,
    Authority,
    authority_of,
    find_chains,
    verify_authority,
)
from thim.simulate.pki import (
    ISSUED,
    ROOT_UNTIL,
    SIGNER_UNTIL,
    SINCE,
    Intel,
)
from thim.x509.crl import Crl


INTEL = Intel()
SECOND = datetime.timedelta(seconds=1)
YEAR = datetime.timedelta(days=365)
LEAVES = {
    Authority.TCB_SIGNING: INTEL.signer,
    Authority.PCK_PROCESSOR: INTEL.processor_ca,
    Authority.PCK_PLATFORM: INTEL.platform_ca,
}
EXTENSIONS = [
    x509.AuthorityKeyIdentifier,
    x509.CRLDistributionPoints,
    x509.SubjectKeyIdentifier,
    x509.KeyUsage,
    x509.BasicConstraints,
]


def verify(chain, expected, *, at=ISSUED, root_crl=None):
    """
    Verify *chain* as one of *expected* under the anchors of our Intel.
    """
    verify_authority(
        chain,
        expected=expected,
        anchors=INTEL.anchors,
        at=at,
        root_crl=root_crl,
    )


class TestAuthorityOf:
    def test_by_exact_name(self):
        """
        An authority is known by its common name.
        """
        expected = list(Authority)

        assert expected == [authority_of(c) for c in INTEL.certificates]

    @pytest.mark.parametrize(
        "name",
        [
            "Intel SGX PCK Processor CA Platform",
            "intel sgx root ca",
            " Intel SGX Root CA",
            "Intel SGX PCK Certificate",
            "x",
        ],
    )
    def test_by_nothing_less(self, name):
        """
        Neither a part of the name nor another case will do.
        """
        certificate = INTEL.certificate(Authority.ROOT, name=name)

        assert authority_of(certificate) is None


class TestVerifyAuthority:
    @pytest.mark.parametrize("authority", LEAVES)
    def test_genuine(self, authority):
        """
        Each authority's chain is its certificate and the root.
        """
        verify((LEAVES[authority], INTEL.root), [authority])

    def test_root(self):
        """
        The root's chain is the root.
        """
        verify((INTEL.root,), [Authority.ROOT])

    def test_one_of_several(self):
        """
        Any of the expected authorities will do.
        """
        expected = iter([Authority.PCK_PROCESSOR, Authority.PCK_PLATFORM])

        verify((INTEL.platform_ca, INTEL.root), expected)

    @pytest.mark.parametrize(
        ("authority", "other"), list(itertools.permutations(LEAVES, 2))
    )
    def test_of_another_kind(self, authority, other):
        """
        A genuine chain of another authority is the wrong one.
        """
        with pytest.raises(UntrustedError, match="issuer chain is") as e:
            verify((LEAVES[other], INTEL.root), [authority])

        assert "wrong-issuer-chain" == e.value.reason
        assert f"expected {authority.value} and its root" in str(e.value)

    @pytest.mark.parametrize(
        "chain",
        [
            (),
            (INTEL.signer,),
            (INTEL.root,),
            (INTEL.root, INTEL.signer),
            (INTEL.signer, INTEL.root, INTEL.root),
            (INTEL.signer, INTEL.signer),
        ],
        ids=["empty", "leaf", "root", "wrong order", "too long", "no root"],
    )
    def test_other_shape(self, chain):
        """
        No certificate may be missing, added or out of its place.
        """
        with pytest.raises(UntrustedError, match="and its root") as e:
            verify(chain, [Authority.TCB_SIGNING])

        assert "wrong-issuer-chain" == e.value.reason

    @pytest.mark.parametrize("authority", LEAVES)
    def test_root_with_something_below(self, authority):
        """
        Where the root is expected, it is expected alone.
        """
        with pytest.raises(UntrustedError, match="issuer chain is"):
            verify((LEAVES[authority], INTEL.root), [Authority.ROOT])

    @pytest.mark.parametrize("kind", EXTENSIONS)
    @pytest.mark.parametrize("in_root", [False, True])
    def test_extension_missing(self, kind, in_root):
        """
        Signer and root carry the five extensions of Intel's profile.
        """
        authority = Authority.ROOT if in_root else Authority.TCB_SIGNING
        bare = INTEL.certificate(authority, without=[kind])
        chain = (INTEL.signer, bare) if in_root else (bare, INTEL.root)

        oid = kind.oid.dotted_string.replace(".", r"\.")
        with pytest.raises(MalformedError, match=f"{oid} missing") as e:
            verify(chain, [Authority.TCB_SIGNING])

        assert "certificate-extensions" == e.value.reason

    def test_foreign(self):
        """
        The right names under a key that is not pinned are not the authority.
        """
        other = Intel("other")

        with pytest.raises(UntrustedError, match="not pinned") as e:
            verify((other.signer, other.root), [Authority.TCB_SIGNING])

        assert "root-untrusted" == e.value.reason

    def test_at_another_time(self):
        """
        The chain must hold at the instant asked for.
        """
        with pytest.raises(UntrustedError, match="valid 2018") as e:
            verify(
                (INTEL.signer, INTEL.root),
                [Authority.TCB_SIGNING],
                at=SIGNER_UNTIL + SECOND,
            )

        assert "certificate-dates" == e.value.reason

    def test_revoked(self):
        """
        The root CRL is heeded.
        """
        der = INTEL.root_crl(revoked=[INTEL.signer.serial_number])

        with pytest.raises(UntrustedError, match="revoked") as e:
            verify(
                (INTEL.signer, INTEL.root),
                [Authority.TCB_SIGNING],
                root_crl=Crl.from_der(der),
            )

        assert "revoked" == e.value.reason

    def test_ours_is_not_intels(self):
        """
        What tests sign never holds under Intel's own anchors.
        """
        with pytest.raises(UntrustedError, match="not pinned"):
            verify_authority(
                (INTEL.root,),
                expected=[Authority.ROOT],
                anchors=INTEL_SGX_ROOT,
                at=ISSUED,
                root_crl=None,
            )


class TestFindChains:
    def test_signer_and_root(self):
        """
        Of all that is known, the signer's and the root's make a chain.
        """
        found = find_chains(Authority.TCB_SIGNING, INTEL.certificates, ISSUED)

        assert [(INTEL.signer, INTEL.root)] == found

    def test_root(self):
        """
        A root's chain is the root itself.
        """
        found = find_chains(Authority.ROOT, INTEL.certificates, ISSUED)

        assert [(INTEL.root,)] == found

    @pytest.mark.parametrize(
        "known", [(), (INTEL.root,), (INTEL.signer,), (INTEL.platform_ca,)]
    )
    def test_something_missing(self, known):
        """
        Without the signer or without a root there is no chain.
        """
        assert [] == find_chains(Authority.TCB_SIGNING, known, ISSUED)

    def test_nothing_known(self):
        """
        Without a certificate there is no root.
        """
        assert [] == find_chains(Authority.ROOT, iter(()), ISSUED)

    def test_lasting_longest_comes_first(self):
        """
        Of several certificates that which lasts longest is tried first, then
        that which was issued last, whatever their order.
        """
        old = INTEL.signer
        new = INTEL.certificate(Authority.TCB_SIGNING, since=SINCE + YEAR)
        short = INTEL.certificate(
            Authority.TCB_SIGNING, since=SINCE + 2 * YEAR, until=ISSUED + YEAR
        )
        root = INTEL.certificate(
            Authority.ROOT, since=SINCE + YEAR, until=SIGNER_UNTIL
        )

        expected = [
            (signer, r)
            for signer in (new, old, short)
            for r in (INTEL.root, root)
        ]
        for known in itertools.permutations([old, short, new, root]):
            found = find_chains(
                Authority.TCB_SIGNING, [*known, INTEL.root], ISSUED
            )
            assert expected == found

    @pytest.mark.parametrize(
        ("at", "expected"),
        [
            (SINCE - SECOND, 0),
            (SINCE, 1),
            (SIGNER_UNTIL, 1),
            (SIGNER_UNTIL + SECOND, 0),
        ],
    )
    def test_dates(self, at, expected):
        """
        Only certificates that are valid at the instant make a chain, its
        first and last instant included.
        """
        found = find_chains(Authority.TCB_SIGNING, INTEL.certificates, at)

        assert expected == len(found)

    def test_dates_of_the_root(self):
        """
        That holds for the root as well.
        """
        root = INTEL.certificate(Authority.ROOT, since=ISSUED + SECOND)
        known = (INTEL.signer, root)

        assert [] == find_chains(Authority.TCB_SIGNING, known, ISSUED)
        assert 1 == len(find_chains(Authority.ROOT, known, ROOT_UNTIL))

    def test_by_name_only(self):
        """
        A stranger of the same name makes a chain too: it is for the caller
        to verify it.
        """
        other = Intel("other")
        known = (INTEL.signer, other.root)

        found = find_chains(Authority.TCB_SIGNING, known, ISSUED)

        assert [known] == found
