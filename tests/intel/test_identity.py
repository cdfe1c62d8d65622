import datetime

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.intel.documents import edited, inner
from thim.errors import MalformedError
from thim.intel.identity import EnclaveIdentity
from thim.intel.names import EnclaveKind
from thim.intel.tcb import TcbStatus
from thim.simulate.pki import ISSUED, LIFETIME, Intel


INTEL = Intel()
BODY = INTEL.identity()


def read(**changes):
    """
    Read an identity in which *changes* were made.
    """
    return EnclaveIdentity.from_json(edited(BODY, lambda d: d.update(changes)))


class TestFromJson:
    def test_reads_what_counts(self):
        """
        All that an enclave identity says.
        """
        identity = read()

        assert EnclaveKind.QE is identity.kind
        assert 2 == identity.version
        assert ISSUED == identity.issue_date
        assert ISSUED + LIFETIME == identity.next_update
        assert 17 == identity.tcb_evaluation_data_number
        assert 1 == identity.isvprodid

    def test_bytes_in_memory_order(self):
        """
        Hexadecimal digits are bytes as they lie in memory.
        """
        identity = read(miscselect="01000000")

        assert b"\x01\0\0\0" == identity.miscselect
        assert b"\xff" * 4 == identity.miscselect_mask
        assert b"\x11" + bytes(15) == identity.attributes
        assert b"\xfb" + b"\xff" * 7 + bytes(8) == identity.attributes_mask
        assert b"\x8c\x4f\x57\x75" == identity.mrsigner[:4]
        assert 32 == len(identity.mrsigner)

    def test_levels(self):
        """
        The levels stand in the document's order.
        """
        high, low = read().levels

        assert (8, 6) == (high.isvsvn, low.isvsvn)
        assert TcbStatus.UP_TO_DATE is high.status
        assert TcbStatus.OUT_OF_DATE is low.status
        assert datetime.date(2024, 3, 13) == low.tcb_date.date()
        assert () == low.advisory_ids

    @pytest.mark.parametrize("kind", EnclaveKind)
    def test_kinds(self, kind):
        """
        QE, QvE, TD-QE and QAE are identities of one form.
        """
        signed = inner(INTEL.identity(kind=kind))

        assert kind is EnclaveIdentity.from_json(signed).kind

    def test_advisories(self):
        """
        A level may name advisories.
        """

        def add(d):
            d["tcbLevels"][1]["advisoryIDs"] = ["INTEL-SA-00615"]

        identity = EnclaveIdentity.from_json(edited(BODY, add))

        assert ("INTEL-SA-00615",) == identity.levels[1].advisory_ids


class TestRefused:
    @pytest.mark.parametrize("version", [1, 3, 0])
    def test_other_version(self, version):
        """
        Only version 2 is known.
        """
        with pytest.raises(MalformedError, match=f"is {version}, expec") as e:
            read(version=version)

        assert "version" == e.value.reason

    @pytest.mark.parametrize("kind", ["qe", "QE2", "", "SGX"])
    def test_unknown_kind(self, kind):
        """
        An enclave that we do not know is refused by name.
        """
        with pytest.raises(MalformedError, match=f"id is '{kind}', exp") as e:
            read(id=kind)

        assert "id" == e.value.reason

    @pytest.mark.parametrize(
        "member",
        [
            "id",
            "version",
            "issueDate",
            "nextUpdate",
            "tcbEvaluationDataNumber",
            "miscselect",
            "miscselectMask",
            "attributes",
            "attributesMask",
            "mrsigner",
            "isvprodid",
            "tcbLevels",
        ],
    )
    def test_member_missing(self, member):
        """
        Each member must be there.
        """
        signed = edited(BODY, lambda d: d.pop(member))

        with pytest.raises(MalformedError, match=f"Identity: .*`{member}`"):
            EnclaveIdentity.from_json(signed)

    @pytest.mark.parametrize(
        ("member", "size"),
        [
            ("miscselect", 4),
            ("miscselectMask", 4),
            ("attributes", 16),
            ("attributesMask", 16),
            ("mrsigner", 32),
        ],
    )
    @pytest.mark.parametrize("more", [-1, 1])
    def test_sizes(self, member, size, more):
        """
        Each byte string has its own size.
        """
        with pytest.raises(MalformedError, match=f"^{member} is") as e:
            read(**{member: "00" * (size + more)})

        assert "hex" == e.value.reason

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"issueDate": "2025-06-05"}, "^issueDate is"),
            ({"nextUpdate": ""}, "^nextUpdate is"),
            ({"isvprodid": 0x10000}, "isvprodid"),
            ({"isvprodid": -1}, "isvprodid"),
            ({"tcbEvaluationDataNumber": -1}, "tcbEvaluationDataNumber"),
            ({"tcbEvaluationDataNumber": 2**32}, "tcbEvaluationDataNumber"),
            ({"tcbLevels": []}, "tcbLevels is empty"),
        ],
    )
    def test_value(self, change, match):
        """
        Each value must have its own form.
        """
        with pytest.raises(MalformedError, match=match):
            read(**change)

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"tcb": {"isvsvn": 8}}, "same isvsvn"),
            ({"tcb": {"isvsvn": 0x10000}}, "isvsvn"),
            ({"tcb": {"isvsvn": -1}}, "isvsvn"),
            ({"tcb": {}}, "isvsvn"),
            ({"tcbStatus": "SWHardeningNeeded"}, "tcbStatus is 'SWHard"),
            ({"tcbStatus": "ok"}, "tcbStatus is 'ok'"),
            ({"tcbDate": "2025-06-05"}, "^tcbDate is"),
            ({"advisoryIDs": [1]}, "advisoryIDs"),
        ],
    )
    def test_level(self, change, match):
        """
        So must each value of a level.
        """
        signed = edited(BODY, lambda d: d["tcbLevels"][1].update(change))

        with pytest.raises(MalformedError, match=match):
            EnclaveIdentity.from_json(signed)

    @pytest.mark.parametrize("value", [b"{}", b"[]", b"1", b'{"id":"QE"}'])
    def test_no_identity(self, value):
        """
        Other JSON is no identity.
        """
        with pytest.raises(MalformedError, match=r"^enclaveIdentity: "):
            EnclaveIdentity.from_json(value)

    @settings(max_examples=40)
    @given(st.integers(0, 1000), st.sampled_from(b'0a"{}[]:,- \x00\xff'))
    def test_one_byte_changed(self, at, byte):
        """
        However a document is damaged, it is read or it is malformed.
        """
        signed = bytearray(inner(BODY))
        signed[at % len(signed)] = byte
        try:
            identity = EnclaveIdentity.from_json(bytes(signed))
        except MalformedError:
            return
        assert identity.levels
