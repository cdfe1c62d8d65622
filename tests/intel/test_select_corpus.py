import dataclasses
import json
import random

import pytest

from tests.intel.documents import inner
from tests.intel.selection import (
    CERTIFICATES,
    LEVELS,
    PCE_ID,
    VECTORS,
    Light,
    select_by_the_text,
    spell,
    tcb_info,
    tcbm_of,
)
from thim.errors import MalformedError
from thim.intel.pck import (
    PckCertificate,
    PckTcbm,
)
from thim.intel.select import (
    find_for,
    select_pck_certificate,
    sort_certificates,
)
from thim.intel.tcb_info import TcbInfo
from thim.x509.chain import parse_pem_chain


class TestCorpus:
    def test_pccs_unit_cases(self, corpus):
        """
        PCCS's own certificates, as they are, get PCCS's own answers, but for
        the vectors that change certificates or levels.
        """
        path = corpus / "intel/pck-cert-selection/pccs-unit-cases.json"
        case = json.loads(path.read_text())
        rows = case["pckCertData"]
        certificates = [
            PckCertificate.from_certificate(*parse_pem_chain(pem.encode()))
            for pem in (row["pck_cert"] for row in rows)
        ]
        levels = [
            (
                [c["svn"] for c in each["tcb"]["sgxtcbcomponents"]],
                each["tcb"]["pcesvn"],
            )
            for each in case["tcbInfo"]["tcbLevels"]
        ]
        info = tcb_info(levels, fmspc=bytes.fromhex(case["tcbInfo"]["fmspc"]))

        assert tcb_info(LEVELS) == info
        assert CERTIFICATES == [row["tcbm"] for row in rows]
        for vector in VECTORS.values():
            if (vector.levels, vector.listed) == (LEVELS, CERTIFICATES):
                found = select_pck_certificate(
                    certificates, vector.raw, pce_id=PCE_ID, tcb_info=info
                )
                assert vector.expected == spell(found)

    @pytest.mark.parametrize(
        ("name", "version"),
        [("v2-eval8-20200518t1749", 2), ("v3-eval17-20241025t0802", 3)],
    )
    def test_real_platform(self, name, version, corpus):
        """
        With a real platform's certificates and Intel's TCB infos of both
        structures, each TCB of its own gets its own certificate, and those
        around it what the text of the rule says.
        """
        body = (corpus / f"intel/tcb/sgx/00906ea10000/{name}.json").read_bytes()
        info = TcbInfo.from_json(inner(body))
        levels = [([*e.tcb.sgx], e.tcb.pcesvn) for e in info.levels]
        answer = "16a5b41ebb076d263a1e39e64e7175e7.certs-284dce.json"
        rows = json.loads(
            (corpus / "intel/pckcerts-responses" / answer).read_text()
        )["pck_data"]
        certificates = [
            PckCertificate.from_certificate(*parse_pem_chain(pem.encode()))
            for pem in (row["cert"] for row in rows)
        ]

        assert version == info.version
        for certificate in certificates:
            for more in (0, 1, -1):
                raw = dataclasses.replace(
                    certificate.tcbm, pcesvn=certificate.pcesvn + more
                )
                found = select_pck_certificate(
                    certificates, raw, pce_id=PCE_ID, tcb_info=info
                )
                assert select_by_the_text(certificates, levels, raw) == found
                assert more or certificate == found

    def test_samples_of_the_library(self, corpus):
        """
        The samples beside Intel's C++ library were never issued by a PCK CA.
        Their TCBs and its TCB info still select as the text says.
        """
        folder = corpus / "intel/pck-cert-selection"
        lights = []
        for i in range(7):
            (issued,) = parse_pem_chain(
                (folder / f"pck{i}-sample.pem").read_bytes()
            )
            with pytest.raises(MalformedError, match="issuer is"):
                PckCertificate.from_certificate(issued)
            lights.append(Light(tcbm_of(issued), i))
        body = json.loads((folder / "tcb-info-4.json").read_text())
        levels = [
            (
                [c["svn"] for c in each["tcb"]["sgxtcbcomponents"]],
                each["tcb"]["pcesvn"],
            )
            for each in body["tcbInfo"]["tcbLevels"]
        ]
        ordered = sort_certificates(lights, tcb_info(levels))

        rng = random.Random(0)
        answers = set()
        for _ in range(2000):
            base = rng.choice(lights).tcbm
            raw = PckTcbm(
                cpusvn=bytes(
                    min(255, max(0, n + rng.choice([-1, 0, 0, 0, 0, 0, 1])))
                    for n in base.cpusvn
                ),
                pcesvn=max(0, base.pcesvn + rng.randint(-1, 2)),
            )
            found = find_for(ordered, raw)
            assert select_by_the_text(lights, levels, raw) == found
            answers.add(found and found.name)
        assert len(answers) > 3
