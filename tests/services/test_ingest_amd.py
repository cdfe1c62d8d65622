import collections
import itertools
import json

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.made_amd import (
    AMD,
    ASK,
    CHIP,
    DAY,
    GENOA,
    MILAN,
    NAME,
    NOW,
    STRANGER,
    TCB,
    TURIN,
    chain_record,
    crl_record,
    day,
    fill,
    vcek,
    vlek,
)
from tests.new_store import new_store
from tests.services.amd_stores import (
    anchors,
    keys,
    ledger,
    replica,
    store,
    watch,
)
from thim.amd.authorities import KeyKind
from thim.amd.tcb import TcbVersion
from thim.collateral.amd_keys import (
    amd_crl_key,
    cert_chain_key,
)
from thim.collateral.anchors import VENDOR_ROOTS
from thim.services.audit import audit
from thim.services.ingest import Outcome, ingest
from thim.simulate.amd_pki import to_pem
from thim.simulate.amd_profile import ISSUED, Role
from thim.simulate.pki import Intel
from thim.store.ledger import Ledger


__all__ = ["anchors", "keys", "ledger", "replica", "store", "watch"]

MILAN_CHAIN = "amd/cert-chain/Milan:vcek/0"
MILAN_ARK = "certificate 'ARK-Milan'"
MILAN_VCEK = f"amd/vcek/Milan:{CHIP.hex().upper()}:{TCB.tcbm}/0"
GENOA_TCB = TcbVersion(product=GENOA, bootloader=4)
FIRST_ASK, _ = ISSUED[GENOA, Role.FIRST_ASK]


def pem(role, product=MILAN, amd=AMD):
    """
    Return the certificate of an authority, in PEM.
    """
    return to_pem(amd.certificate(product, role))


def crl_pem(der):
    """
    Write a list in PEM.
    """
    crl = x509.load_der_x509_crl(der)
    return crl.public_bytes(Encoding.PEM)


def thim_answer(der):
    """
    Write what Azure's host answers a virtual machine that asks for its VCEK.
    """
    return json.dumps(
        {
            "vcekCert": to_pem(der).decode(),
            "tcbm": TCB.tcbm,
            "certificateChain": AMD.chain(MILAN).decode(),
            "cacheControl": "86400",
        }
    ).encode()


def take(ledger, *files, now=NOW):
    """
    Take files in, which have numbers for names unless given; return what
    became of each document as name, outcome and reason.
    """
    named = [
        file if isinstance(file, tuple) else (str(n), file)
        for n, file in enumerate(files)
    ]
    return {
        (result.what, result.outcome.value, result.reason)
        for result in ingest(named, ledger=ledger, now=now)
    }


def accepted(*names):
    """
    Return that each name was accepted.
    """
    return {(name, "accepted", None) for name in names}


def known(*names):
    """
    Return that each name was known.
    """
    return {(name, "known", None) for name in names}


def quarantined(watch):
    """
    Return what lies in quarantine as reason and bytes.
    """
    return {
        (found.reason, watch.refused_body(found.sha256))
        for found in watch.refused(NOW - DAY, 100)
    }


class TestChain:
    @pytest.mark.parametrize(
        "files",
        [
            [AMD.chain(MILAN)],
            [pem(Role.ARK) + pem(Role.ASK)],
            [pem(Role.ASK), pem(Role.ARK)],
            [pem(Role.ARK), pem(Role.ASK)],
            [AMD.certificate(MILAN, r) for r in (Role.ASK, Role.ARK)],
            [b"said:\n" + pem(Role.ASK) + b"\n\nand\n" + pem(Role.ARK)],
        ],
    )
    def test_forms(self, ledger, replica, files):
        """
        An ASK and an ARK are a chain, in one file or two, in either order, in
        PEM or DER; it is kept as AMD's service gives it.
        """
        assert accepted(MILAN_CHAIN, MILAN_ARK) == take(ledger, *files)
        found = replica.find(cert_chain_key(KeyKind.VCEK, MILAN))
        assert AMD.chain(MILAN) == found.body

    def test_all(self, ledger, replica):
        """
        All chains of all product lines may come in one file.
        """
        roles = (Role.ASVK, Role.ASK, Role.ARK)
        everything = b"".join(
            pem(role, product)
            for role, product in itertools.product(roles, (MILAN, GENOA, TURIN))
        )
        take(ledger, everything)

        assert 6 == len(replica.amd_chains()) == len(replica.entries())

    def test_again(self, ledger):
        """
        What is known is said to be.
        """
        take(ledger, AMD.chain(MILAN))

        assert known(MILAN_CHAIN, MILAN_ARK) == take(
            ledger, AMD.chain(MILAN), pem(Role.ARK), pem(Role.ASK)
        )

    def test_below_a_known_root(self, ledger):
        """
        An intermediate alone is enough where its ARK is known, also under a
        chain that is revoked; and so is the ARK.
        """
        ledger.add(chain_record())
        ledger.add(crl_record(ASK))

        assert accepted("amd/cert-chain/Milan:vlek/0") == take(
            ledger, pem(Role.ASVK)
        )
        assert known(MILAN_ARK) == take(ledger, pem(Role.ARK))

    @pytest.mark.parametrize("role", [Role.ASK, Role.ASVK, Role.ARK])
    def test_half(self, ledger, watch, replica, role):
        """
        Half a chain is refused, and is nothing bad.
        """
        (found,) = take(ledger, pem(role), AMD.chain(GENOA)) - accepted(
            "amd/cert-chain/Genoa:vcek/0", "certificate 'ARK-Genoa'"
        )

        assert ("refused", "incomplete-chain") == found[1:]
        assert set() == quarantined(watch)
        assert 1 == len(replica.entries())

    def test_strangers(self, ledger, replica, watch):
        """
        A chain to a root that is not pinned is refused, both parts of it, and
        lies in quarantine.
        """
        found = take(ledger, STRANGER.chain(MILAN))

        assert {
            ("certificate 'SEV-Milan'", "refused", "root-not-pinned"),
            (MILAN_ARK, "refused", "root-not-pinned"),
        } == found
        assert {
            ("root-not-pinned", STRANGER.certificate(MILAN, role))
            for role in (Role.ASK, Role.ARK)
        } == quarantined(watch)
        assert [] == replica.entries()

    @pytest.mark.parametrize("is_turned", [False, True])
    def test_beside_a_strangers(self, ledger, replica, is_turned):
        """
        A stranger's root of the same name is in nobody's way.
        """
        files = [pem(Role.ARK, amd=STRANGER), pem(Role.ASK), pem(Role.ARK)]
        if is_turned:
            files.reverse()
        found = take(ledger, *files)

        assert accepted(MILAN_CHAIN, MILAN_ARK) < found
        assert {(MILAN_ARK, "refused", "root-not-pinned")} < found

    def test_forged(self, ledger, watch):
        """
        An intermediate of which a bit has changed is refused, the ARK beside
        it is no chain.
        """
        der = bytearray(AMD.certificate(MILAN, Role.ASK))
        der[-1] ^= 1
        found = take(ledger, to_pem(bytes(der)) + pem(Role.ARK))

        assert (
            "certificate 'SEV-Milan'",
            "refused",
            "certificate-signature",
        ) in found
        assert ("certificate-signature", bytes(der)) in quarantined(watch)

    def test_from_the_future(self, ledger):
        """
        A chain that does not hold yet is refused.
        """
        early = ISSUED[MILAN, Role.ASK][1] - DAY
        found = take(ledger, AMD.chain(MILAN), now=early)

        assert {("refused", "not-yet-valid")} == {each[1:] for each in found}

    @pytest.mark.parametrize("is_listed", [False, True])
    def test_revoked(self, ledger, replica, is_listed):
        """
        A chain whose intermediate is revoked is archived, whether the list
        was there before or comes with it, and is not served: it is what was
        current once.
        """
        crl = AMD.crl(GENOA, revoked={FIRST_ASK: day(0)})
        files = [pem(Role.FIRST_ASK, GENOA)]
        if is_listed:
            ledger.add(chain_record(GENOA))
            ledger.add(crl_record(FIRST_ASK, product=GENOA))
        else:
            files += [AMD.chain(GENOA), crl]
        found = take(ledger, *files)

        key = cert_chain_key(KeyKind.VCEK, GENOA)
        assert accepted(str(key)) <= found
        assert replica.begin(key) == ISSUED[GENOA, Role.FIRST_ASK][1]
        assert replica.find(key, None, replica.begin(key)) is None
        assert AMD.chain(GENOA) == replica.find(key).body


class TestCrl:
    @pytest.mark.parametrize(
        "write", [bytes, crl_pem, lambda der: der.hex().encode()]
    )
    def test_forms(self, ledger, replica, write):
        """
        A list may be in DER, PEM or hexadecimal text; it is kept in DER.
        """
        ledger.add(chain_record())
        der = AMD.crl(MILAN)

        assert accepted("amd/crl/Milan:vcek/0") == take(ledger, write(der))
        found = replica.find(amd_crl_key(KeyKind.VCEK, MILAN))
        assert der == found.body

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("crl", "vcek"),
            ("/somewhere/Milan/vcek.crl", "vcek"),
            ("/vlek/backup/Milan/crl.der", "vcek"),
            ("/somewhere/vlek/crl.der", "vlek"),
            ("/somewhere/Milan-VLEK.crl", "vlek"),
        ],
    )
    def test_which(self, ledger, name, kind):
        """
        Which of the two lists it is, file or folder say; else it is that for
        VCEKs.
        """
        ledger.add(chain_record())
        what = f"amd/crl/Milan:{kind}/0"

        assert accepted(what) == take(ledger, (name, AMD.crl(MILAN)))
        assert known(what) == take(ledger, (name, AMD.crl(MILAN)))

    def test_as_both(self, ledger, replica):
        """
        One list may be both.
        """
        ledger.add(chain_record())
        der = AMD.crl(MILAN)
        take(ledger, ("vcek.crl", der), ("vlek.crl", der))

        for kind in KeyKind:
            assert der == replica.find(amd_crl_key(kind, MILAN)).body

    @pytest.mark.parametrize(
        ("der", "reason"),
        [
            (STRANGER.crl(MILAN), "crl-signature"),
            (AMD.crl(TURIN), "no-issuer-chain"),
            (AMD.crl(MILAN, issued=day(5), number=9), "fork"),
            (AMD.crl(MILAN, issued=NOW + DAY), "not-yet-valid"),
        ],
    )
    def test_refused(self, ledger, watch, der, reason):
        """
        What does not hold is refused by its reason and lies in quarantine.
        """
        ledger.add(chain_record())
        ledger.add(crl_record(issued=5))
        ((what, *rest),) = take(ledger, der)

        assert ["refused", reason] == rest
        assert what.startswith("CRL of 'ARK-")
        assert {(reason, der)} == quarantined(watch)


class TestKeys:
    @pytest.mark.parametrize(
        "write", [bytes, to_pem, lambda der: der.hex().encode()]
    )
    def test_forms(self, ledger, keys, write):
        """
        A VCEK may be in DER, PEM or hexadecimal text.
        """
        fill(ledger)

        assert accepted(MILAN_VCEK) == take(ledger, write(vcek()))
        assert vcek() == keys.find_vcek(NAME).der
        assert known(MILAN_VCEK) == take(ledger, write(vcek()))

    @pytest.mark.parametrize(
        "content",
        [
            thim_answer(vcek()),
            to_pem(vcek()) + AMD.chain(MILAN),
            AMD.chain(MILAN) + to_pem(vcek()),
        ],
    )
    def test_with_its_chain(self, ledger, keys, content):
        """
        It may come with its chain: as Azure answers, or in one PEM file.
        """
        names = MILAN_VCEK, MILAN_CHAIN, MILAN_ARK

        assert accepted(*names) == take(ledger, content)
        assert AMD.chain(MILAN) == keys.find_vcek(NAME).issuer_chain
        assert known(*names) == take(ledger, content)

    def test_vlek(self, ledger, keys):
        """
        A VLEK is named by its provider and TCB.
        """
        fill(ledger)
        name = f"amd/vlek/Milan:{TCB.tcbm}/0"

        assert accepted(name) == take(ledger, to_pem(vlek()))
        assert vlek() == keys.find_vlek(TCB).der
        assert known(name) == take(ledger, vlek())

    def test_issued_anew(self, ledger, keys):
        """
        Both certificates of one key are accepted, in one run.
        """
        fill(ledger)
        old, new = vcek(day(0)), vcek(day(5))
        results = list(
            ingest([("new", new), ("old", old)], ledger=ledger, now=NOW)
        )

        assert [Outcome.ACCEPTED] * 2 == [r.outcome for r in results]
        assert [day(5), day(0)] == [r.issued for r in results]
        assert new == keys.find_vcek(NAME).der

    @pytest.mark.parametrize(
        ("der", "reason"),
        [
            (vcek(day(9), is_other=True), "endorsement-key-changed"),
            (vcek(amd=STRANGER), "certificate-signature"),
            (vcek(NOW + DAY), "not-yet-valid"),
            (
                vcek(tcb=TcbVersion(product=TURIN), hw_id=bytes(7) + b"1"),
                "no-issuer-chain",
            ),
            (vcek(tcb=GENOA_TCB, signer=Role.FIRST_ASK), "ask-revoked"),
        ],
    )
    def test_refused(self, ledger, keys, watch, der, reason):
        """
        What does not hold is refused by its reason, lies in quarantine, and
        changes nothing.
        """
        fill(ledger, vcek())
        ledger.add(chain_record(GENOA))
        take(ledger, pem(Role.FIRST_ASK, GENOA))
        ledger.add(crl_record(FIRST_ASK, product=GENOA))
        found = take(ledger, to_pem(der))

        assert {("certificate 'SEV-VCEK'", "refused", reason)} == found
        assert {(reason, der)} == quarantined(watch)
        assert (1, 1) == keys.count()

    def test_without_a_chain(self, ledger, keys):
        """
        Without a chain none is taken.
        """
        ((_, *rest),) = take(ledger, vcek())

        assert ["refused", "no-issuer-chain"] == rest
        assert (0, 0) == keys.count()


class TestOrder:
    FILES = (
        pem(Role.ARK),
        pem(Role.ASK),
        AMD.crl(MILAN),
        vcek(),
        thim_answer(vcek(day(3))),
        pem(Role.ASVK) + to_pem(vlek()),
    )

    @pytest.mark.parametrize("first", range(len(FILES)))
    def test_does_not_matter(self, ledger, first, replica, keys):
        """
        Whatever comes first: all is accepted in one run, and known in the
        next.
        """
        files = [*self.FILES[first:], *self.FILES[:first]]
        found = take(ledger, *files)

        assert {"accepted", "known"} >= {outcome for _, outcome, _ in found}
        assert 3 == len(replica.entries())
        assert (2, 1) == keys.count()
        assert {"known"} == {outcome for _, outcome, _ in take(ledger, *files)}

    def test_with_intels(self, tmp_path):
        """
        Both vendors' documents may come in one run, even in one file.
        """
        intel = Intel()
        pins = intel.anchors.spki_sha256 | AMD.anchors.spki_sha256
        anchors = type(intel.anchors)(spki_sha256=pins)
        new_store(tmp_path / "both.db", anchors)
        both = b"".join(
            c.public_bytes(Encoding.PEM) for c in intel.certificates
        )
        with Ledger(tmp_path / "both.db", anchors) as ledger:
            found = take(
                ledger,
                AMD.crl(MILAN),
                intel.root_crl(),
                intel.tcb_info(),
                AMD.chain(MILAN) + both + to_pem(vcek()),
            )

        assert {"accepted"} == {outcome for _, outcome, _ in found}
        assert accepted(MILAN_VCEK, MILAN_CHAIN, "amd/crl/Milan:vcek/0") < found


class TestReport:
    def test_is_evidence(self, ledger, watch):
        """
        A report is told from what it is verified with.
        """
        report = b"\x05\0\0\0" + bytes(1180)

        assert {("file", "refused", "evidence")} == take(ledger, report)
        assert set() == quarantined(watch)


@pytest.fixture(scope="module")
def real(corpus, tmp_path_factory):
    """
    AMD's own documents, imported twice into a store of its own: the results
    of each run, the store.
    """
    path = tmp_path_factory.mktemp("amd") / "thim.db"
    new_store(path, VENDOR_ROOTS)
    files = [
        (str(file.relative_to(corpus)), file.read_bytes())
        for file in sorted((corpus / "amd").rglob("*.*"))
    ]
    with Ledger(path, VENDOR_ROOTS) as ledger:
        runs = [list(ingest(files, ledger=ledger, now=NOW)) for _ in range(2)]
        yield *runs, ledger


class TestCorpus:
    def test_all_accepted(self, real):
        """
        Ten certificates of authorities in as many files make seven chains,
        one of which is revoked; the three lists, 53 VCEKs and 7 VLEKs are all
        accepted, and the VCEK of the recorded answer.
        """
        first, _, _ = real
        counts = collections.Counter(
            (
                r.source.split("/")[1],
                r.what.split("/")[1 if "/" in r.what else 0],
            )
            for r in first
            if r.outcome is Outcome.ACCEPTED and "thim" not in r.source
        )

        assert {
            ("ca", "cert-chain"): 7,
            ("ca", MILAN_ARK): 1,
            ("ca", "certificate 'ARK-Genoa'"): 1,
            ("ca", "certificate 'ARK-Turin'"): 1,
            ("crl", "crl"): 3,
            ("vcek", "vcek"): 53,
            ("vlek", "vlek"): 7,
        } == counts
        refused = [r for r in first if r.outcome is Outcome.REFUSED]
        assert ["evidence"] == [r.reason for r in refused]

    def test_twice(self, real):
        """
        In the second run all of it is known.
        """
        first, second, _ = real

        assert len(first) == len(second)
        assert {Outcome.KNOWN} == {
            r.outcome for r in second if r.reason != "evidence"
        }

    def test_chains(self, real):
        """
        Six chains can be used; Genoa's first, which its list revokes, cannot.
        """
        _, _, ledger = real

        assert 6 == len(ledger.amd_chains())
        assert [0x20001] == [
            c.intermediate.serial_number
            for c in ledger.amd_chains(revoked=True)
        ]

    def test_sound(self, real):
        """
        The store that it leaves passes its own audit.
        """
        _, _, ledger = real
        report = audit(ledger)

        assert () == report.findings
        assert (10, 61, 1) == (
            report.records,
            report.endorsement_keys,
            report.revoked,
        )
