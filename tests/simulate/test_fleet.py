import time

import pytest

from cryptography import x509

from tests.simulate.machines import extension_of
from thim.intel.names import PckCa
from thim.simulate import fleet
from thim.simulate.certified import PckTcb
from thim.simulate.fleet import fleet_qe_id, make_fleet
from thim.simulate.pck import (
    ISSUERS,
    Platform,
    issue_pck_certificate,
    pck_chain,
)
from thim.simulate.pki import ISSUED, Intel
from thim.x509.chain import verify_chain
from thim.x509.ecdsa import p256_key


INTEL = Intel()
FMSPC = bytes.fromhex("00806F050000")
LOW = PckTcb(bytes(16), 3)


def load(member):
    """
    Read the certificate of a member of a fleet.
    """
    return x509.load_der_x509_certificate(member.certificate)


def point(leaf):
    """
    Return the public key of a certificate.
    """
    return p256_key(leaf).public_numbers()


class TestCertificate:
    @pytest.mark.parametrize("ca", PckCa)
    def test_verifies(self, ca):
        """
        Each certificate holds under the simulated CA.
        """
        for member in make_fleet(INTEL, FMSPC, 50, ca=ca):
            platform = Platform(fmspc=FMSPC, ca=ca)
            chain = pck_chain(INTEL, platform, load(member))
            verify_chain(chain, anchors=INTEL.anchors, at=ISSUED, root_crl=None)

    @pytest.mark.parametrize("ca", PckCa)
    def test_same_as_issued(self, ca):
        """
        It says what one says that is issued in full to the same machine.
        """
        tcb = PckTcb(bytes(range(16)), 7)
        fields = {"ca": ca, "pce_id": b"\1\0"}
        (member,) = make_fleet(
            INTEL, FMSPC, 1, start=9, raw_tcb=tcb, keys=1, **fields
        )
        platform = Platform(
            fmspc=FMSPC,
            qe_id=fleet_qe_id(INTEL, 9),
            cpusvn=tcb.cpusvn,
            pcesvn=tcb.pcesvn,
            **fields,
        )
        full = issue_pck_certificate(
            INTEL,
            platform,
            serial=load(member).serial_number,
            key=INTEL.key("fleet/0"),
        )

        assert full.tbs_certificate_bytes == load(member).tbs_certificate_bytes
        assert full == load(member)
        assert (platform.qe_id, b"\1\0", tcb) == member[:3]


class TestFleet:
    def test_different(self):
        """
        Machines differ in QE ID, PPID, serial number and signature, and share
        a pool of keys.
        """
        members = list(make_fleet(INTEL, FMSPC, 100, keys=10))
        leaves = [load(member) for member in members]

        assert 100 == len({member.qe_id for member in members})
        assert 100 == len({extension_of(leaf) for leaf in leaves})
        assert 100 == len({leaf.serial_number for leaf in leaves})
        assert 100 == len({leaf.signature for leaf in leaves})
        assert 10 == len({point(leaf) for leaf in leaves})

    def test_several_tcbs(self):
        """
        A machine may have certificates for several TCBs, of its one PPID.
        """
        tcbs = (fleet.TCB, LOW)
        one, two = make_fleet(INTEL, FMSPC, 1, tcbs=tcbs)

        assert one[:3] == two[:3]
        assert point(load(one)) != point(load(two))
        assert load(one).serial_number != load(two).serial_number

    def test_pieces(self):
        """
        A fleet that is made in pieces is the same fleet.
        """
        whole = list(make_fleet(INTEL, FMSPC, 6, keys=4))
        pieces = [
            *make_fleet(INTEL, FMSPC, 2, keys=4),
            *make_fleet(INTEL, FMSPC, 4, start=2, keys=4),
        ]

        assert whole == pieces

    def test_another_intel(self):
        """
        Another Intel has another fleet.
        """
        (ours,) = make_fleet(INTEL, FMSPC, 1, keys=1)
        (theirs,) = make_fleet(Intel("other"), FMSPC, 1, keys=1)

        assert ours.qe_id != theirs.qe_id

    def test_speed(self):
        """
        A thousand machines take a moment.
        """
        begin = time.process_time()
        count = sum(1 for _ in make_fleet(INTEL, FMSPC, 1000, keys=16))

        assert 1000 == count
        assert time.process_time() - begin < 1

    def test_template(self):
        """
        A template in which the places cannot be told apart is not used.
        """
        with pytest.raises(RuntimeError, match="told apart"):
            fleet._cut(b"a, a", [b"a"])

    def test_authority(self):
        """
        The issuer's name is that of the CA.
        """
        (member,) = make_fleet(INTEL, FMSPC, 1, ca=PckCa.PROCESSOR, keys=1)
        (name,) = load(member).issuer.get_attributes_for_oid(
            x509.NameOID.COMMON_NAME
        )

        assert ISSUERS[PckCa.PROCESSOR].value == name.value
