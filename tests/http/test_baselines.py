"""
Which number answers: prefixes, parameters, and what beats what.
"""

import base64
import datetime
import json

import pytest

from tests.http.conftest import (
    FMSPC,
    NOW,
    add_to_store,
    full_set,
    make_store,
    unnumbered,
)
from tests.serving import serving


V4 = "/sgx/certification/v4"
TDX = "/tdx/certification/v4"
SGX_TCB = f"{V4}/tcb?fmspc={FMSPC}"
TDX_TCB = f"{TDX}/tcb?fmspc={FMSPC}"
CUSTOM = base64.b64encode(b"tcbEvaluationDataNumber=19\0").decode()

#: What Intel's QCNL asks for (update= on every document), with and without
#: Azure's customParameter, and what dcap-qvl does (on identities only).
QCNL = [
    f"{SGX_TCB}&update={{}}",
    f"{V4}/qe/identity?update={{}}",
    f"{V4}/qve/identity?update={{}}",
    f"{TDX_TCB}&update={{}}",
    f"{TDX}/qe/identity?update={{}}",
]
DCAP_QVL = [
    SGX_TCB,
    f"{V4}/qe/identity?update=standard",
    TDX_TCB,
    f"{TDX}/qe/identity?update=standard",
]


def number_of(got):
    """
    The number that a document's body and headers agree on.
    """
    assert 200 == got.status, got.body
    (member,) = (v for k, v in got.json.items() if k != "signature")
    number = member["tcbEvaluationDataNumber"]
    assert str(number) == got["thim-evaluation-number"]
    return number


class TestOneSet:
    @pytest.mark.parametrize("update", ["standard", "early"])
    def test_qcnl_below_a_number(self, served, update):
        """
        Below /baseline/19/ every request of QCNL's gets 19, although standard
        is 20 and early 22, and whatever its tcb_update_type.
        """
        got = [
            served.get(f"/baseline/19{path.format(update)}") for path in QCNL
        ]

        assert {19} == {number_of(g) for g in got}

    def test_dcap_qvl_below_a_number(self, served):
        """
        Below /baseline/19/ every request of dcap-qvl's gets 19.
        """
        got = [served.get(f"/baseline/19{path}") for path in DCAP_QVL]

        assert {19} == {number_of(g) for g in got}

    @pytest.mark.parametrize(
        ("prefix", "number"),
        [
            ("", 19),
            ("/baseline/default", 19),
            ("/baseline/standard", 20),
            ("/baseline/early", 22),
            ("/baseline/22", 22),
            ("/baseline/20/at/2026-09-01", 20),
        ],
    )
    @pytest.mark.parametrize("paths", [QCNL, DCAP_QVL])
    def test_every_baseline(self, served, prefix, number, paths):
        """
        Whatever the baseline, all members of an answer set have its number:
        update=standard is no wish.
        """
        got = [
            served.get(f"{prefix}{path.format('standard')}") for path in paths
        ]

        assert {number} == {number_of(g) for g in got}

    def test_missing_member(self, intel, tmp_path):
        """
        A member that the set lacks is a 404 that names it, never another
        number's.
        """
        store = make_store(
            tmp_path / "thim.db",
            intel,
            [
                *unnumbered(intel),
                intel.tcb_info(fmspc=FMSPC, number=19),
                intel.identity(number=20),
            ],
        )
        with serving(store, lambda: NOW, anchors=intel.anchors) as served:
            got = served.get(f"/baseline/19{V4}/qe/identity")

        assert 404 == got.status
        assert b"intel/identity/qe/2" in got.body
        assert b"number 19" in got.body


class TestPrecedence:
    def test_update_early(self, served):
        """
        Where nobody chose a baseline, update=early is early.
        """
        assert 22 == number_of(served.get(f"{SGX_TCB}&update=early"))

    def test_update_early_below_a_channel(self, served):
        """
        Below a channel, update=early is early.
        """
        got = served.get(f"/baseline/standard{SGX_TCB}&update=early")

        assert (22, "early") == (number_of(got), got["thim-baseline"])

    @pytest.mark.parametrize("name", ["19", "default"])
    def test_update_early_below_another_baseline(self, served, name):
        """
        Below any other baseline that was chosen, update=early is answered by
        it, with a warning.
        """
        got = served.get(f"/baseline/{name}{SGX_TCB}&update=early")

        assert (19, name) == (number_of(got), got["thim-baseline"])
        assert "update=early" in got["warning"]

    @pytest.mark.parametrize("prefix", ["", "/baseline/early"])
    @pytest.mark.parametrize(
        "parameter",
        ["tcbEvaluationDataNumber=19", f"customParameter={CUSTOM}"],
    )
    def test_number(self, served, prefix, parameter):
        """
        A number, plain or custom, beats the default and the channels.
        """
        got = served.get(f"{prefix}{SGX_TCB}&{parameter}")

        assert (19, "19") == (number_of(got), got["thim-baseline"])

    def test_same_number_twice(self, served):
        """
        The same number said twice is no contradiction.
        """
        got = served.get(
            f"/baseline/19{SGX_TCB}&tcbEvaluationDataNumber=19"
            f"&customParameter={CUSTOM}"
        )

        assert 19 == number_of(got)

    def test_two_numbers(self, served):
        """
        Two different numbers are refused.
        """
        got = served.get(
            f"{SGX_TCB}&tcbEvaluationDataNumber=20&customParameter={CUSTOM}"
        )

        assert 400 == got.status

    def test_inferred(self, intel, tmp_path):
        """
        Without a word of the vendor's, the newest archived number is
        standard, and the answer says that this is inferred.
        """
        store = make_store(
            tmp_path / "thim.db",
            intel,
            [*full_set(intel, 19), *full_set(intel, 20)],
        )
        with serving(store, lambda: NOW, anchors=intel.anchors) as served:
            got = served.get(f"/baseline/standard{SGX_TCB}")

        assert (20, "standard; inferred") == (
            number_of(got),
            got["thim-baseline"],
        )

    @pytest.mark.parametrize("name", ["standard", "early", "default"])
    def test_revocation_needs_no_number(self, intel, tmp_path, name):
        """
        An archive of CRLs alone answers with them below any baseline that is
        no number.
        """
        store = make_store(tmp_path / "thim.db", intel, [intel.root_crl()])
        with serving(store, lambda: NOW, anchors=intel.anchors) as served:
            path = f"/baseline/{name}{V4}/rootcacrl"
            assert 200 == served.get(path).status

    def test_empty_archive(self, intel, tmp_path):
        """
        An empty archive answers 404 and says that it is empty.
        """
        store = make_store(tmp_path / "thim.db", intel, [])
        with serving(store, lambda: NOW, anchors=intel.anchors) as served:
            got = served.get(SGX_TCB)

        assert (404, "empty-archive") == (got.status, got["thim-reason"])


OLD = datetime.datetime(2025, 3, 1, tzinfo=datetime.UTC)
MIDDLE = datetime.datetime(2025, 6, 1, tzinfo=datetime.UTC)
NEW = datetime.datetime(2026, 8, 20, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def travelled(intel, tmp_path_factory):
    """
    A service with documents of three dates, a year's gap between two.
    """
    bodies = []
    for issued in (NEW, OLD, MIDDLE):
        bodies += full_set(intel, 19, issued)
        bodies += unnumbered(intel, issued)
    path = tmp_path_factory.mktemp("time") / "thim.db"
    store = make_store(path, intel, bodies)
    with serving(store, lambda: NOW, anchors=intel.anchors) as running:
        yield running


class TestTime:
    @pytest.mark.parametrize(
        ("at", "issued"),
        [
            ("2025-03-01", OLD),
            ("2025-05-31T23:59:59Z", OLD),
            ("20250601T000000Z", MIDDLE),
            ("2026-08-19", MIDDLE),
            ("2026-08-21", NEW),
        ],
    )
    def test_tcb_info_at(self, travelled, at, issued):
        """
        What was current at an instant is the newest issued by then.
        """
        got = travelled.get(f"/baseline/19/at/{at}{SGX_TCB}")

        assert f"{issued:%FT%TZ}" == got.json["tcbInfo"]["issueDate"]

    def test_says_so(self, travelled):
        """
        An answer as of an instant says so, revocation included.
        """
        got = travelled.get(f"/at/2025-03-02{V4}/rootcacrl")

        assert "2025-03-02T00:00:00Z" == got["thim-as-of"]
        assert "as of 2025-03-02T00:00:00Z" in got["warning"]
        assert "thim-coverage" not in got

    def test_revocation_is_never_pinned(self, travelled):
        """
        Below a baseline alone, CRLs are the newest there are.
        """
        pinned = travelled.get(f"/baseline/19{V4}/pckcrl?ca=platform")

        assert travelled.get(f"{V4}/pckcrl?ca=platform").body == pinned.body

    def test_revocation_at(self, travelled):
        """
        Below an instant they are those of that instant.
        """
        then = travelled.get(f"/at/2025-03-02{V4}/pckcrl?ca=platform")

        assert travelled.get(f"{V4}/pckcrl?ca=platform").body != then.body

    @pytest.mark.parametrize("path", [f"/baseline/19/at/2026-01-01{SGX_TCB}"])
    def test_gap(self, travelled, path):
        """
        Where no document was valid at the instant, the answer says that the
        archive has a gap.
        """
        assert "gap" == travelled.get(path)["thim-coverage"]

    def test_before_the_archive(self, travelled):
        """
        Earlier than the archive is a 404 that says where it begins.
        """
        got = travelled.get(f"/baseline/19/at/2025-02-28{SGX_TCB}")

        assert 404 == got.status
        assert b"begins at 2025-03-01T00:00:00Z" in got.body

    def test_expired(self, travelled):
        """
        An expired document is served and flagged; no client may keep it.
        """
        got = travelled.get(f"/baseline/19/at/2025-03-02{SGX_TCB}")

        assert 200 == got.status
        assert 'expired 2025-03-31T00:00:00Z"' in got["warning"]
        assert "max-age=0" == got["cache-control"]
        assert "age" in got

    def test_fmspcs_at(self, travelled):
        """
        The list of FMSPCs is that of the instant too, and says so.
        """
        got = travelled.get(f"/at/2025-03-02{V4}/fmspcs")

        assert [] != got.json
        assert "2025-03-02T00:00:00Z" == got["thim-as-of"]
        assert "as of 2025-03-02" in got["warning"]

    def test_before_everything_and_unknown(self, travelled):
        """
        What is not known at all does not begin anywhere.
        """
        got = travelled.get(f"/at/2001-01-01{V4}/tcb?fmspc=FFFFFFFFFFFF")

        assert (404, "unknown-document") == (got.status, got["thim-reason"])

    @pytest.mark.parametrize("path", [SGX_TCB, f"{V4}/fmspcs"])
    def test_before_everything(self, travelled, path):
        """
        Before the first document of all it is the same 404.
        """
        got = travelled.get(f"/at/2001-01-01{path}")

        assert (404, "before-archive") == (got.status, got["thim-reason"])


@pytest.fixture(scope="module")
def mixed(intel, tmp_path_factory):
    """
    A service with number 19 in structure 3 and number 12 in structure 2.
    """
    bodies = [
        intel.tcb_info(fmspc=FMSPC, number=19, structure=3),
        intel.tcb_info(fmspc=FMSPC, number=12, structure=2),
    ]
    path = tmp_path_factory.mktemp("layouts") / "thim.db"
    store = make_store(path, intel, bodies)
    with serving(store, lambda: NOW, anchors=intel.anchors) as running:
        yield running


class TestLayouts:
    @pytest.mark.parametrize(
        ("version", "structure"), [("v2", 2), ("v3", 2), ("v4", 3)]
    )
    def test_own_layout(self, served, version, structure):
        """
        Each API version answers in the structure that it speaks, unremarked.
        """
        got = served.get(f"/sgx/certification/{version}/tcb?fmspc={FMSPC}")

        assert structure == got.json["tcbInfo"]["version"]
        assert "warning" not in got

    @pytest.mark.parametrize(
        ("version", "number", "structure"), [("v3", 19, 3), ("v4", 12, 2)]
    )
    def test_other_layout(self, mixed, version, number, structure):
        """
        A number that exists in the other structure only is answered in that,
        with a warning: never in another number.
        """
        got = mixed.get(
            f"/baseline/{number}/sgx/certification/{version}/tcb?fmspc={FMSPC}"
        )

        assert number == number_of(got)
        assert structure == got.json["tcbInfo"]["version"]
        assert f"structure {structure}" in got["warning"]

    def test_gone(self, store, intel):
        """
        With old_api off, PCS v2 and v3 are gone as they are at Intel.
        """
        with serving(
            store, lambda: NOW, anchors=intel.anchors, old_api=False
        ) as served:
            got = served.get(f"/sgx/certification/v3/tcb?fmspc={FMSPC}")
            assert 200 == served.get(SGX_TCB).status

        assert (410, "old-api") == (got.status, got["thim-reason"])


class TestFmspcs:
    @pytest.mark.parametrize("platform", ["", "?platform=all", "?platform=E5"])
    def test_with_tdx(self, served, platform):
        """
        An FMSPC with a TDX TCB info is an E5.
        """
        assert [{"fmspc": FMSPC, "platform": "E5"}] == served.get(
            f"{V4}/fmspcs{platform}"
        ).json

    def test_others(self, served):
        """
        Of the other platforms nothing is known.
        """
        assert [] == served.get(f"{V4}/fmspcs?platform=client").json


class TestGenerations:
    def test_new_documents_are_seen(self, intel, tmp_path):
        """
        A document that another process takes in is served within 100 ms, and
        an answer that was remembered is forgotten.
        """
        first = intel.tcb_info(fmspc=FMSPC, number=19, issued=OLD)
        second = intel.tcb_info(fmspc=FMSPC, number=19, issued=MIDDLE)
        store = make_store(tmp_path / "thim.db", intel, [first])
        with serving(store, lambda: NOW, anchors=intel.anchors) as served:
            path = f"/baseline/19{SGX_TCB}"
            assert [first] * 3 == [served.get(path).body for _ in range(3)]
            add_to_store(store, intel, [second])
            seen = [served.get(path).body for _ in range(400)]

        assert second == seen[-1]
        assert seen == sorted(seen, key=[first, second].index)

    def test_revoked_signer(self, intel, tmp_path):
        """
        When the root CRL revokes a signer, its documents are served no more.
        """
        body = intel.tcb_info(fmspc=FMSPC, number=19)
        store = make_store(
            tmp_path / "thim.db", intel, [intel.root_crl(issued=OLD), body]
        )
        path = f"/baseline/19{SGX_TCB}"
        with serving(store, lambda: NOW, anchors=intel.anchors) as served:
            assert 200 == served.get(path).status
            serial = intel.signer.serial_number
            revoking = intel.root_crl(issued=MIDDLE, revoked=[serial])
            add_to_store(store, intel, [revoking])
            for _ in range(400):
                got = served.get(path)

        assert (404, "signer-revoked") == (got.status, got["thim-reason"])


class TestHealth:
    @pytest.mark.parametrize("name", ["live", "startup", "ready"])
    def test_well(self, served, name):
        """
        A service with a store in order is alive, started and ready.
        """
        got = served.get(f"/health/{name}")

        assert (200, "ok") == (got.status, got.json["status"])
        assert "no-store" == got["cache-control"]

    def test_mode(self, served):
        """
        Readiness says whether the vendors are left alone, and that the store
        is one for tests.
        """
        got = served.get("/health/ready").json

        assert ("offline", True) == (got["fill"], got["dangerous"])

    def test_empty(self, intel, tmp_path):
        """
        An empty archive is a reason in the body, not a failure.
        """
        store = make_store(tmp_path / "thim.db", intel, [])
        with serving(store, lambda: NOW, anchors=intel.anchors) as served:
            got = served.get("/health/ready")

        assert 200 == got.status
        assert "empty" in got.json["reasons"][0]

    def test_expired(self, store, intel):
        """
        Expired documents are a reason in the body, not a failure.
        """
        later = NOW + datetime.timedelta(days=300)
        with serving(store, lambda: later, anchors=intel.anchors) as served:
            got = served.get("/health/ready")

        assert 200 == got.status
        assert "expired" in json.dumps(got.json["reasons"])
