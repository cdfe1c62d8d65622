import copy
import json

import pytest

from thim.errors import MalformedError
from thim.intel.components import Component, Components
from thim.intel.steps import Remedy


SGX: list[dict[str, object]] = [{"svn": 1} for _ in range(16)]
SGX[0] |= {"category": "BIOS", "type": "Early Microcode Update"}
SGX[1] |= {"category": "OS/VMM", "type": "SGX Late Microcode Update"}
SGX[2] |= {"category": "OS/VMM", "type": "TXT SINIT"}
SGX[3] |= {"category": "BIOS"}
SGX[4] |= {"category": "BIOS"}
SGX[5] |= {"category": "BIOS"}
SGX[7] |= {"category": "OS/VMM", "type": "SEAMLDR ACM"}
TDX: list[dict[str, object]] = [{"svn": 1} for _ in range(16)]
TDX[0] |= {"category": "OS/VMM", "type": "TDX Module"}
TDX[1] |= {"category": "OS/VMM", "type": "TDX Module"}
TDX[2] |= {"category": "OS/VMM", "type": "TDX Late Microcode Update"}

#: A TCB info of structure 2.
STRUCTURE_2 = {f"sgxtcbcomp{i:02}svn": 1 for i in range(1, 17)} | {"pcesvn": 9}


def read(*tcbs):
    """
    Read the components' names in a TCB info whose levels have *tcbs*.
    """
    levels = [{"tcb": tcb, "tcbStatus": "UpToDate"} for tcb in tcbs]
    text = json.dumps({"version": 3, "tcbLevels": levels})
    return Components.from_json(text.encode())


def read_tdx():
    """
    Read those of a TCB info for TDX as Intel issues it.
    """
    return read({"sgxtcbcomponents": SGX, "pcesvn": 9, "tdxtcbcomponents": TDX})


class TestNames:
    @pytest.mark.parametrize(
        ("index", "expected"),
        [
            (0, "SGX component 1 (BIOS, Early Microcode Update)"),
            (1, "SGX component 2 (OS/VMM, SGX Late Microcode Update)"),
            (2, "SGX component 3 (OS/VMM, TXT SINIT)"),
            (3, "SGX component 4 (BIOS)"),
            (6, "SGX component 7"),
            (7, "SGX component 8 (OS/VMM, SEAMLDR ACM)"),
            (15, "SGX component 16"),
        ],
    )
    def test_sgx(self, index, expected):
        """
        An SGX component is called by its number, from 1, and by what Intel
        says it is.
        """
        assert expected == read_tdx().sgx[index].name

    @pytest.mark.parametrize(
        ("index", "expected"),
        [
            (0, "TDX component 1 (OS/VMM, TDX Module)"),
            (1, "TDX component 2 (OS/VMM, TDX Module)"),
            (2, "TDX component 3 (OS/VMM, TDX Late Microcode Update)"),
            (3, "TDX component 4"),
            (15, "TDX component 16"),
        ],
    )
    def test_tdx(self, index, expected):
        """
        A TDX component is called likewise.
        """
        assert expected == read_tdx().tdx[index].name

    def test_type_alone(self):
        """
        A type without a category is a name too.
        """
        sgx = copy.deepcopy(SGX)
        del sgx[0]["category"]

        assert "SGX component 1 (Early Microcode Update)" == (
            read({"sgxtcbcomponents": sgx}).sgx[0].name
        )

    def test_count(self):
        """
        There are sixteen of each.
        """
        found = read_tdx()

        assert (16, 16) == (len(found.sgx), len(found.tdx))

    def test_highest_level(self):
        """
        The names are those of the first level.
        """
        nameless = {"sgxtcbcomponents": [{"svn": 0}] * 16}

        assert "SGX component 4 (BIOS)" == (
            read({"sgxtcbcomponents": SGX}, nameless).sgx[3].name
        )


class TestRemedies:
    @pytest.mark.parametrize("index", range(16))
    def test_sgx(self, index):
        """
        The loader of the TDX module comes with the module; all else of SGX
        comes with the BIOS or as microcode.
        """
        expected = Remedy.TDX_MODULE if index == 7 else Remedy.FIRMWARE

        assert expected is read_tdx().sgx[index].remedy

    @pytest.mark.parametrize("index", range(16))
    def test_tdx(self, index):
        """
        The first two of TDX are the module's.
        """
        expected = Remedy.TDX_MODULE if index < 2 else Remedy.FIRMWARE

        assert expected is read_tdx().tdx[index].remedy


class TestNameless:
    @pytest.mark.parametrize("index", range(16))
    def test_structure_2(self, index):
        """
        A TCB info of structure 2 says nothing of its components: they have
        their numbers.
        """
        expected = Component(
            name=f"SGX component {index + 1}", remedy=Remedy.FIRMWARE
        )

        assert expected == read(STRUCTURE_2).sgx[index]

    def test_count(self):
        """
        There are sixteen of them nonetheless.
        """
        assert 16 == len(read(STRUCTURE_2).sgx)

    @pytest.mark.parametrize(
        "tcb", [STRUCTURE_2, {"sgxtcbcomponents": SGX, "pcesvn": 9}]
    )
    def test_no_tdx(self, tcb):
        """
        A TCB info for SGX has no components of TDX.
        """
        assert () == read(tcb).tdx


class TestFromJson:
    def test_not_json(self):
        """
        What is no JSON is malformed.
        """
        with pytest.raises(MalformedError, match="not JSON"):
            Components.from_json(b"{")

    def test_without_levels(self):
        """
        So is what has no levels.
        """
        with pytest.raises(MalformedError, match="tcbLevels"):
            Components.from_json(b"{}")
