import pytest

from tests.intel.documents import edited, inner
from thim.errors import MalformedError
from thim.intel.names import Tee
from thim.intel.tcb_info import TcbInfo
from thim.simulate.pki import Intel


INTEL = Intel()
TDX = INTEL.tcb_info(tee=Tee.TDX)
BODIES = {
    1: INTEL.tcb_info(structure=1),
    2: INTEL.tcb_info(structure=2),
    3: INTEL.tcb_info(),
}


def read(body):
    """
    Read the signed member of *body*.
    """
    return TcbInfo.from_json(inner(body))


class TestRefused:
    @pytest.mark.parametrize("version", [0, 4, -1, 10**30])
    def test_unknown_version(self, version):
        """
        A version that we do not know may mean anything.
        """
        signed = edited(BODIES[3], lambda d: d.update(version=version))

        with pytest.raises(MalformedError, match=f"version is {version},") as e:
            TcbInfo.from_json(signed)

        assert "version" == e.value.reason

    @pytest.mark.parametrize("value", ["[]", '"tcbInfo"', "{}", "null"])
    def test_no_tcb_info(self, value):
        """
        Other JSON is no TCB info.
        """
        with pytest.raises(MalformedError, match=r"^tcbInfo: ") as e:
            TcbInfo.from_json(value.encode())

        assert "fields" == e.value.reason

    @pytest.mark.parametrize(
        ("version", "member"),
        [
            *((1, m) for m in ("issueDate", "fmspc", "tcbLevels")),
            *(
                (v, m)
                for v in (2, 3)
                for m in (
                    "issueDate",
                    "nextUpdate",
                    "fmspc",
                    "pceId",
                    "tcbType",
                    "tcbEvaluationDataNumber",
                    "tcbLevels",
                )
            ),
            (3, "id"),
        ],
    )
    def test_member_missing(self, version, member):
        """
        Each member that a version has must be there.
        """
        signed = edited(BODIES[version], lambda d: d.pop(member))

        with pytest.raises(MalformedError, match=f"tcbInfo: .*`{member}`"):
            TcbInfo.from_json(signed)

    @pytest.mark.parametrize(
        ("change", "reason", "match"),
        [
            ({"id": "QE"}, "id", "id is 'QE', expected SGX or TDX"),
            ({"id": "sgx"}, "id", "id is 'sgx'"),
            ({"tcbType": 1}, "tcb-type", "tcbType is 1, expected 0"),
            ({"fmspc": "00606A0000"}, "hex", "^fmspc is"),
            ({"fmspc": "00606A0000000000"}, "hex", "^fmspc is"),
            ({"pceId": "000000"}, "hex", "^pceId is"),
            ({"issueDate": "2025-06-05"}, "date", "^issueDate is"),
            ({"nextUpdate": "never"}, "date", "^nextUpdate is"),
            ({"issueDate": "2025-06-05T03:43:45.1Z"}, "date", "^issueDate is"),
            ({"tcbLevels": []}, "tcb-levels", "tcbLevels is empty"),
            ({"tcbEvaluationDataNumber": -1}, "fields", "Number"),
            ({"tcbEvaluationDataNumber": 2**32}, "fields", "Number"),
            ({"tcbEvaluationDataNumber": "17"}, "fields", "Number"),
            ({"tcbEvaluationDataNumber": None}, "fields", "Number"),
        ],
    )
    def test_value(self, change, reason, match):
        """
        Each value must have its own form.
        """
        signed = edited(BODIES[3], lambda d: d.update(change))

        with pytest.raises(MalformedError, match=match) as e:
            TcbInfo.from_json(signed)

        assert reason == e.value.reason

    @pytest.mark.parametrize("number", [0, 2**32 - 1])
    def test_number_at_its_bounds(self, number):
        """
        An evaluation number has 32 bits.
        """
        body = INTEL.tcb_info(number=number)

        assert number == read(body).tcb_evaluation_data_number

    @pytest.mark.parametrize("version", [2, 3])
    def test_tcb_type(self, version):
        """
        How TCBs of another type compare, nobody has said.
        """
        signed = edited(BODIES[version], lambda d: d.update(tcbType=1))

        with pytest.raises(MalformedError, match="tcbType is 1"):
            TcbInfo.from_json(signed)


class TestRefusedLevels:
    @pytest.mark.parametrize("body", [*BODIES.values(), TDX])
    def test_same_svns_twice(self, body):
        """
        Two levels with one floor would be two verdicts on one platform.
        """
        signed = edited(
            body,
            lambda d: d["tcbLevels"][1].update(tcb=d["tcbLevels"][0]["tcb"]),
        )

        with pytest.raises(MalformedError, match="same SVNs") as e:
            TcbInfo.from_json(signed)

        assert "tcb-levels" == e.value.reason

    def test_levels_that_differ_in_tdx_only(self):
        """
        The TDX components are a part of the floor.
        """

        def same_sgx(d):
            high, low = d["tcbLevels"]
            for name in ("sgxtcbcomponents", "pcesvn"):
                low["tcb"][name] = high["tcb"][name]

        assert 2 == len(TcbInfo.from_json(edited(TDX, same_sgx)).levels)

    @pytest.mark.parametrize("body", [*BODIES.values(), TDX])
    @pytest.mark.parametrize("pcesvn", [-1, 0x10000, "11", None])
    def test_pcesvn(self, body, pcesvn):
        """
        The PCE's SVN has 16 bits.
        """
        signed = edited(
            body, lambda d: d["tcbLevels"][0]["tcb"].update(pcesvn=pcesvn)
        )

        with pytest.raises(MalformedError, match=r"(Expected `int`|pcesvn)"):
            TcbInfo.from_json(signed)

    @pytest.mark.parametrize("version", [1, 2])
    @pytest.mark.parametrize("svn", [-1, 256, "4", None])
    def test_flat_component(self, version, svn):
        """
        A component has 8 bits.
        """
        signed = edited(
            BODIES[version],
            lambda d: d["tcbLevels"][1]["tcb"].update(sgxtcbcomp16svn=svn),
        )

        with pytest.raises(MalformedError, match=r"`int`") as e:
            TcbInfo.from_json(signed)

        assert "fields" == e.value.reason

    @pytest.mark.parametrize("name", ["sgxtcbcomponents", "tdxtcbcomponents"])
    @pytest.mark.parametrize("svn", [-1, 256, "4", None])
    def test_component(self, name, svn):
        """
        So does one in a list.
        """
        signed = edited(
            TDX,
            lambda d: d["tcbLevels"][1]["tcb"][name][15].update(svn=svn),
        )

        with pytest.raises(MalformedError, match=name) as e:
            TcbInfo.from_json(signed)

        assert "fields" == e.value.reason

    @pytest.mark.parametrize("version", [1, 2])
    @pytest.mark.parametrize("name", ["sgxtcbcomp01svn", "pcesvn"])
    def test_flat_component_missing(self, version, name):
        """
        All sixteen and the PCE's must be there: absent is not 0.
        """
        signed = edited(
            BODIES[version], lambda d: d["tcbLevels"][0]["tcb"].pop(name)
        )

        with pytest.raises(MalformedError, match=f"tcb has no {name}") as e:
            TcbInfo.from_json(signed)

        assert "fields" == e.value.reason

    @pytest.mark.parametrize("name", ["sgxtcbcomponents", "tdxtcbcomponents"])
    @pytest.mark.parametrize("count", [0, 15, 17])
    def test_component_count(self, name, count):
        """
        A list of components has sixteen.
        """
        signed = edited(
            TDX,
            lambda d: d["tcbLevels"][0]["tcb"].update(
                {name: [{"svn": 1}] * count}
            ),
        )

        with pytest.raises(MalformedError, match=name):
            TcbInfo.from_json(signed)

    @pytest.mark.parametrize(
        ("version", "name"), [(1, "status"), (2, "tcbStatus"), (3, "tcbStatus")]
    )
    def test_status(self, version, name):
        """
        An unknown status is an error in every version.
        """
        signed = edited(
            BODIES[version], lambda d: d["tcbLevels"][1].update({name: "Fine"})
        )

        with pytest.raises(MalformedError, match="tcbStatus is 'Fine'"):
            TcbInfo.from_json(signed)

    @pytest.mark.parametrize("name", ["tcb", "tcbDate", "tcbStatus"])
    def test_member_missing(self, name):
        """
        Each member of a level but the advisories must be there.
        """
        signed = edited(BODIES[3], lambda d: d["tcbLevels"][1].pop(name))

        with pytest.raises(MalformedError, match=f"`{name}`"):
            TcbInfo.from_json(signed)

    def test_tcb_date(self):
        """
        A level's date is a date.
        """
        signed = edited(
            BODIES[3], lambda d: d["tcbLevels"][1].update(tcbDate="2018")
        )

        with pytest.raises(MalformedError, match=r"^tcbDate is '2018'"):
            TcbInfo.from_json(signed)

    @pytest.mark.parametrize(
        ("advisories", "match"),
        [(None, "array"), ("INTEL-SA-1", "array"), ([1], "str"), ([None], "s")],
    )
    def test_advisories(self, advisories, match):
        """
        Advisories are a list of text.
        """
        signed = edited(
            BODIES[3],
            lambda d: d["tcbLevels"][1].update(advisoryIDs=advisories),
        )

        with pytest.raises(MalformedError, match=match):
            TcbInfo.from_json(signed)


class TestTdxParts:
    def test_module_missing(self):
        """
        A TCB info of TDX must speak of the module.
        """
        signed = edited(TDX, lambda d: d.pop("tdxModule"))

        with pytest.raises(MalformedError, match="tdxModule missing for") as e:
            TcbInfo.from_json(signed)

        assert "tdx-parts" == e.value.reason

    def test_module_of_sgx(self):
        """
        A TCB info of SGX must not.
        """
        signed = edited(TDX, lambda d: d.update(id="SGX"))

        with pytest.raises(MalformedError, match="tdxModule present for SGX"):
            TcbInfo.from_json(signed)

    def test_module_identities_of_sgx(self):
        """
        Nor may it have module identities.
        """

        def make_sgx(d):
            d["id"] = "SGX"
            del d["tdxModule"]

        with pytest.raises(MalformedError, match="present for SGX") as e:
            TcbInfo.from_json(edited(TDX, make_sgx))

        assert "tdx-parts" == e.value.reason

    def test_module_identities_empty(self):
        """
        An empty list of module identities would fit no module.
        """
        signed = edited(TDX, lambda d: d.update(tdxModuleIdentities=[]))

        with pytest.raises(MalformedError, match="Identities empty"):
            TcbInfo.from_json(signed)

    def test_components_missing(self):
        """
        Each level of TDX has TDX components.
        """
        signed = edited(
            TDX, lambda d: d["tcbLevels"][1]["tcb"].pop("tdxtcbcomponents")
        )

        with pytest.raises(
            MalformedError, match="tdxtcbcomponents missing"
        ) as e:
            TcbInfo.from_json(signed)

        assert "tdx-parts" == e.value.reason

    @pytest.mark.parametrize(
        ("name", "size"),
        [("mrsigner", 48), ("attributes", 8), ("attributesMask", 8)],
    )
    @pytest.mark.parametrize("part", ["tdxModule", "tdxModuleIdentities"])
    def test_module_values(self, part, name, size):
        """
        The module's values have their sizes, in both places.
        """

        def shorten(d):
            module = d[part] if part == "tdxModule" else d[part][1]
            module[name] = "00" * (size - 1)

        with pytest.raises(MalformedError, match=f"tdxModule {name} is") as e:
            TcbInfo.from_json(edited(TDX, shorten))

        assert "hex" == e.value.reason

    def test_identity_levels_empty(self):
        """
        A module identity without a level gives no verdict.
        """
        signed = edited(
            TDX, lambda d: d["tdxModuleIdentities"][1].update(tcbLevels=[])
        )

        with pytest.raises(MalformedError, match="tcbLevels is empty"):
            TcbInfo.from_json(signed)
