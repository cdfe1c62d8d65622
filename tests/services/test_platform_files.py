"""
What is read of files of platforms, and what is refused.
"""

import codecs
import io
import json

import pytest

from tests.bulk import AT, ENC_PPID, MANIFEST, csv_line, registered, spell
from tests.platforms import platform_id
from thim.errors import MalformedError
from thim.services.platform_files import (
    MAX_LINE,
    read_documents,
    read_platforms,
)
from thim.services.platform_sheets import MOST_MANIFEST, Refused, Sheet


ONE = platform_id("one")


def read(content):
    """
    Read the platforms in *content*.
    """
    raw = content if isinstance(content, bytes) else content.encode()
    return list(read_platforms(io.BytesIO(raw)))


def refusals(content):
    """
    Return line and reason of what is refused in *content*.
    """
    return [
        (one.line, one.reason)
        for one in read(content)
        if isinstance(one, Refused)
    ]


class Endless(io.RawIOBase):
    """
    Two thousand pieces of one *sign*.
    """

    def __init__(self, sign):
        self.sign = sign
        self.left = 2000

    def read(self, size=-1):
        """
        Return the next piece.
        """
        self.left -= 1
        return self.sign * 65536 if self.left > 0 else b""


class TestCsv:
    def test_line(self):
        """
        A line says who it is, at which TCB, and by what to ask for it.
        """
        (found,) = read(csv_line("one"))

        assert Sheet(line=1, id=ONE, raw_tcbs=(AT,), enc_ppid=ENC_PPID) == found

    def test_secrets_hidden(self):
        """
        Secrets are not shown by accident.
        """
        (found,) = read(f"{csv_line('one')},{MANIFEST.hex()}")

        assert MANIFEST == found.manifest
        assert str(ENC_PPID) not in repr(found)
        assert str(MANIFEST) not in repr(found)

    def test_no_ppid(self):
        """
        An encrypted PPID of zeros is none.
        """
        (found,) = read(csv_line("one", enc_ppid=bytes(384)))

        assert found.enc_ppid is None

    def test_manifest_only(self):
        """
        A machine of several packages may have its manifest alone.
        """
        pce_id, qe_id = ONE.pce_id.hex(), ONE.qe_id.hex()
        (found,) = read(f",{pce_id},,,{qe_id},{MANIFEST.hex()}")

        assert Sheet(line=1, id=ONE, manifest=MANIFEST) == found

    @pytest.mark.parametrize(
        "dress",
        [
            lambda text: text.upper(),
            lambda text: f"{text}\r\n",
            lambda text: f"\n\n{text}\n\n",
            lambda text: f"{text},",
            lambda text: text.replace(",", " , "),
            lambda text: ",".join(f"0x{part}" for part in text.split(",")),
            lambda text: ",".join(f'"{part}"' for part in text.split(",")),
            lambda text: f"EncryptedPPID,PCE_ID,CPUSVN,PCE SVN,QE_ID\n{text}",
            lambda text: codecs.BOM_UTF8 + text.encode(),
            lambda text: text.encode("utf-16"),
            lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        ],
    )
    def test_dress(self, dress):
        """
        It is read however the tool, a spreadsheet or Windows has dressed it.
        """
        (found,) = read(dress(csv_line("one")))

        assert (ONE, (AT,), ENC_PPID) == (
            found.id,
            found.raw_tcbs,
            found.enc_ppid,
        )

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ((4, "ab"), "platform-id"),
            ((4, "x" * 32), "platform-id"),
            ((1, "00"), "platform-id"),
            ((2, "00"), "raw-tcb"),
            ((2, ""), "raw-tcb"),
            ((3, "1"), "raw-tcb"),
            ((3, "0009"), "pcesvn-byte-order"),
            ((0, "ab"), "enc-ppid"),
            ((0, "abc"), "enc-ppid"),
            ((0, "zz" * 384), "enc-ppid"),
            ((4, f"{'ab' * 16},xx"), "manifest"),
            ((4, f"{'ab' * 16},{'ab' * (MOST_MANIFEST + 1)}"), "manifest"),
            ((4, "1,2,3"), "fields"),
        ],
    )
    def test_refused(self, change, reason):
        """
        A line that cannot be read is refused by number and reason; others
        are taken.
        """
        fields = csv_line("one").split(",")
        place, text = change
        fields[place] = text
        bad = ",".join(fields)
        found = read("\n".join([csv_line("two"), bad, csv_line("three")]))

        assert [Sheet, Refused, Sheet] == [type(one) for one in found]
        assert (2, reason) == (found[1].line, found[1].reason)

    @pytest.mark.parametrize("mark", [";", "\t"])
    def test_separator(self, mark):
        """
        Where a file is separated by something else, that is said.
        """
        (found,) = read(csv_line("one").replace(",", mark))

        assert ("fields", True) == (
            found.reason,
            f"separated by {mark!r}, not by commas" in found.detail,
        )

    def test_no_separator(self):
        """
        What is just one field has no other separator.
        """
        (found,) = read("nothing; of this; is a table")

        assert "separated" not in found.detail

    def test_nothing_repeated(self):
        """
        No refusal repeats an encrypted PPID or a manifest.
        """
        secret = "abcdef" * 30
        for line in (
            csv_line("one").replace(ENC_PPID.hex(), secret),
            f"{csv_line('one')},{secret}x",
        ):
            (found,) = read(line)

            assert isinstance(found, Refused)
            assert "abcdef" not in found.detail

    def test_long_line(self):
        """
        A line beyond the bound is refused, and the next one is read.
        """
        text = f"{'a' * (3 * MAX_LINE)}\n{csv_line('one')}"
        found = read(text)

        assert (1, "too-large") == (found[0].line, found[0].reason)
        assert (2, ONE) == (found[1].line, found[1].id)

    @pytest.mark.parametrize("sign", [b"a", b" ", b"\0"])
    def test_endless_line(self, sign):
        """
        A line without end is refused before it ends, and once.
        """
        stream = Endless(sign)
        items = read_platforms(stream)
        found = next(items)

        assert isinstance(found, Refused)
        assert (1, "too-large") == (found.line, found.reason)
        assert stream.left > 1900
        assert [] == list(items)

    def test_titles_once(self):
        """
        Titles are passed over at the beginning only.
        """
        titles = "EncryptedPPID,PCE_ID(LE),CPUSVN,PCESVN(LE),QE_ID"

        assert [(3, "platform-id")] == refusals(
            f"{titles}\n{csv_line('one')}\n{titles}"
        )

    @pytest.mark.parametrize("content", ["", "\n\n", "\r\n", b"\xef\xbb\xbf"])
    def test_empty(self, content):
        """
        An empty file holds no platforms.
        """
        assert [] == read(content)

    def test_garbage(self):
        """
        Bytes that are no text are refused, line by line.
        """
        assert [(1, "fields"), (2, "fields")] == refusals(b"\xfd\xfe\n\0")

    def test_recorded(self, corpus):
        """
        What the tool wrote on real machines is read in full.
        """
        folder = corpus / "intel" / "platform-manifest"
        found = [
            one
            for path in sorted(folder.glob("*.csv"))
            for one in read(path.read_bytes())
        ]

        assert 7 == len(found)
        assert all(isinstance(one, Sheet) and one.enc_ppid for one in found)


class TestJson:
    def test_list(self):
        """
        The list that ``pccsadmin get`` writes is read.
        """
        text = json.dumps([registered("one"), registered("two")], indent=1)

        assert [ONE, platform_id("two")] == [one.id for one in read(text)]

    def test_line(self):
        """
        Each platform has the line on which it begins.
        """
        text = json.dumps([registered("one"), registered("two")], indent=1)

        assert [2, 10] == [one.line for one in read(text)]

    def test_null(self):
        """
        What is null is not there.
        """
        texts = dict.fromkeys(("cpu_svn", "pce_svn", "enc_ppid"))
        manifest = MANIFEST.hex()
        one = registered("one", platform_manifest=manifest, **texts)
        (found,) = read(json.dumps([one]))

        assert Sheet(line=1, id=ONE, manifest=MANIFEST) == found

    def test_certificates(self):
        """
        Certificates are those that there are, decoded.
        """
        certs = [
            {"cert": "-----BEGIN%20CERTIFICATE-----%0AMII%2B%2F%3D%0A"},
            {"cert": "Not available"},
            {"cert": "-----BEGIN CERTIFICATE-----\nMII+/=\n"},
            {"cert": "a%7Eb"},
        ]
        one = {"qe_id": ONE.qe_id.hex(), "pce_id": "0000", "certs": certs}
        text = {"platforms": [], "collaterals": {"pck_certs": [one]}}
        (found,) = read(json.dumps(text))

        pem = b"-----BEGIN CERTIFICATE-----\nMII+/=\n"
        assert (pem, pem, b"a~b") == found.pems

    def test_many_certificates(self):
        """
        More certificates than a platform can have are refused.
        """
        certs = [{"cert": "x"}] * 513
        one = {"qe_id": ONE.qe_id.hex(), "pce_id": "0000", "certs": certs}

        assert [(1, "pck-certificates")] == refusals(
            json.dumps({"collaterals": {"pck_certs": [one]}})
        )

    @pytest.mark.parametrize(
        "bad", ["1", '"x"', "{}", '{"qe_id": 1, "pce_id": "0000"}', "[[]]"]
    )
    def test_refused(self, bad):
        """
        What is no platform is refused by its line; others are taken.
        """
        text = f"[{json.dumps(registered('one'))},\n{bad}]"

        assert [(2, "fields")] == refusals(text)

    def test_no_secret(self):
        """
        No refusal repeats what stands in the file.
        """
        one = registered("one", enc_ppid=1, pce_id="secret")
        (found,) = read(json.dumps([one | {"enc_ppid": ["topsecret"]}]))

        assert "topsecret" not in found.detail

    def test_cut_off(self):
        """
        What is before the end of a file that was cut off is taken.
        """
        text = json.dumps([registered("one"), registered("two")])

        assert [ONE] == [
            one.id for one in read(text[:-20]) if isinstance(one, Sheet)
        ]
        assert [(1, "json")] == refusals(text[:-20])

    def test_other(self):
        """
        JSON of another kind is refused by that.
        """
        assert [(1, "unrecognised")] == refusals('{"tcbInfo": {}}')

    def test_utf_16(self):
        """
        JSON may come from Windows.
        """
        text = json.dumps([registered("one")])

        assert [ONE] == [one.id for one in read(text.encode("utf-16"))]


class TestDocuments:
    def find(self, collaterals):
        """
        Return the documents in an object with *collaterals*.
        """
        text = json.dumps({"platforms": [], "collaterals": collaterals})
        return dict(read_documents(io.BytesIO(text.encode())))

    def test_found(self):
        """
        Documents are found wherever PCCS's tool has them, each decoded.
        """
        found = self.find(
            {
                "tcbinfos": [
                    {
                        "fmspc": "00",
                        "sgx_tcbinfo": {"tcbInfo": {"id": "SGX"}},
                        "tdx_tcbinfo_early": {"tcbInfo": {"id": "TDX"}},
                        "tdx_tcbinfo": None,
                    }
                ],
                "certificates": {"A": {"PLATFORM": "-----BEGIN%20X"}},
                "pckcacrl": {"processorCrl": "ab", "platformCrl": ""},
                "rootcacrl": "cd",
                "rootcacrl_cdp": "https://x",
                "qveidentity_early": '{"enclaveIdentity": {}}',
            }
        )

        assert {
            "tcbinfos on line 1/sgx_tcbinfo": b'{"tcbInfo":{"id":"SGX"}}',
            "tcbinfos on line 1/tdx_tcbinfo_early": (
                b'{"tcbInfo":{"id":"TDX"}}'
            ),
            "certificates/A/PLATFORM": b"-----BEGIN X",
            "pckcacrl/processorCrl": b"ab",
            "rootcacrl": b"cd",
            "qveidentity_early": b'{"enclaveIdentity":{}}',
        } == found

    @pytest.mark.parametrize(
        "value", [1, [], None, {"x": 1}, ["x"], {"x": {"y": []}}]
    )
    def test_other_types(self, value):
        """
        What is of another type is no document.
        """
        assert {} == self.find({"certificates": value, "tcbinfos": value})

    def test_csv(self):
        """
        CSV has none.
        """
        content = io.BytesIO(csv_line("one").encode())

        assert [] == list(read_documents(content))

    def test_too_many(self):
        """
        Documents beyond all measure are refused.
        """
        text = json.dumps({"collaterals": {"rootcacrl": "ab" * 6}})
        found = read_documents(io.BytesIO(text.encode()), most=10)
        with pytest.raises(MalformedError, match="more than 10 bytes"):
            list(found)


def test_widths():
    """
    The tool's widths are those that were recorded.
    """
    widths = [len(field) for field in csv_line("one").split(",")]

    assert [768, 4, 32, 4, 32] == widths
    assert ("04040000000000000000000000000000", "0b00") == spell(AT)
