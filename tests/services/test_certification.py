import json

from thim.amd.tcb import ProductLine, TcbVersion
from thim.services.certification import write_certification, write_pem


TCB = TcbVersion(product=ProductLine.MILAN, bootloader=3, snp=8, microcode=0x73)


class TestCertification:
    def test_object(self):
        """
        Every value is a text, and the PEM block ends in a newline.
        """
        written = write_certification(b"der", b"chain\n", TCB, 86400)
        pem = "-----BEGIN CERTIFICATE-----\nZGVy\n-----END CERTIFICATE-----\n"
        assert {
            "vcekCert": pem,
            "tcbm": "7308000000000003",
            "certificateChain": "chain\n",
            "cacheControl": "86400",
        } == json.loads(written)

    def test_lines(self):
        """
        A block has lines of 64 characters.
        """
        first, *lines, last = write_pem(bytes(100)).decode().splitlines()
        assert "-----BEGIN CERTIFICATE-----" == first
        assert "-----END CERTIFICATE-----" == last
        assert [64, 64, 8] == [len(line) for line in lines]
