"""
PCK certificates on the wire, in both shapes, by the application and by the
fast path.
"""

import contextlib
import datetime
import json
import socket
import urllib.parse

import pytest

from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.platforms import FMSPC, NOW, entry, platform_id, tcbm
from tests.serving import serving
from thim.http.pcs import Profile
from thim.intel.names import PckCa
from thim.services.ingest import ingest
from thim.services.vendors import FillMode, VendorSettings
from thim.simulate.pki import Intel
from thim.store.create import create_store
from thim.store.ledger import Ledger
from thim.store.pck import PckReader
from thim.store.replica import Replica
from thim.x509.chain import to_pem


V4 = "/sgx/certification/v4/pckcert"
AZURE = "clientid=production_client&api-version=2021-07-22-preview"
AT, LOW, HIGH = tcbm(4, 4), tcbm(1, 1), tcbm(9, 9, pcesvn=13)
PATHS = [f"/sgx/certification/{v}/pckcert" for v in ("v2", "v3", "v4")]


def ask_for(who="one", at=AT, pce_id="0000", **changes):
    """
    The query for a platform at a TCB.
    """
    values = {
        "qeid": platform_id(who).qe_id.hex(),
        "cpusvn": at.cpusvn.hex(),
        "pcesvn": at.pcesvn.to_bytes(2, "little").hex(),
        "pceid": pce_id,
        **changes,
    }
    return "&".join(f"{k}={v}" for k, v in values.items() if v is not None)


@pytest.fixture(scope="module")
def intel():
    """
    An Intel that issues certificates.
    """
    return Intel()


@pytest.fixture(scope="module")
def revoked(intel):
    """
    A platform whose certificate is revoked.
    """
    return entry(intel, "revoked", AT, raw=(AT,))


@pytest.fixture(scope="module")
def store(intel, revoked, tmp_path_factory):
    """
    A store with some platforms; nobody writes to it.
    """
    path = tmp_path_factory.mktemp("pck") / "thim.db"
    create_store(path, intel.anchors)
    serial = revoked.certificates[0].certificate.serial_number
    crl = intel.pck_crl(
        ca=PckCa.PLATFORM,
        issued=NOW - datetime.timedelta(days=2),
        revoked=[serial],
    )
    with Ledger(path, intel.anchors) as ledger:
        files = [("ca.pem", to_pem(intel.certificates)), ("crl", crl)]
        list(ingest(files, ledger=ledger, now=NOW))
        ledger.platforms.enter(
            [
                entry(intel, "one", LOW, AT, raw=(AT, HIGH)),
                entry(intel, "two", AT, raw=(AT,), pce_id=b"\1\0"),
                entry(intel, "unseen", AT),
                entry(intel, "bare"),
                revoked,
            ],
            NOW,
        )
    return path


@pytest.fixture(scope="module")
def served(store, intel):
    """
    The service at NOW.
    """
    with serving(store, lambda: NOW, anchors=intel.anchors) as running:
        yield running


class TestPem:
    @pytest.mark.parametrize("path", PATHS)
    def test_answer(self, served, intel, path):
        """
        Without an api-version: the PEM leaf, and in headers its chain, TCBm,
        FMSPC and CA.
        """
        got = served.get(f"{path}?{ask_for()}")
        leaf = x509.load_pem_x509_certificate(got.body)
        chain = to_pem([intel.platform_ca, intel.root])

        assert (200, "application/x-pem-file") == (
            got.status,
            got["content-type"],
        )
        assert leaf.issuer == intel.platform_ca.subject
        sent = got["sgx-pck-certificate-issuer-chain"]
        assert chain == urllib.parse.unquote_to_bytes(sent)
        assert sent.endswith("%0A")
        assert AT.to_bytes().hex().upper() == got["sgx-tcbm"]
        assert FMSPC.hex().upper() == got["sgx-fmspc"]
        assert "platform" == got["sgx-pck-certificate-ca-type"]
        assert "max-age=86400" == got["cache-control"]

    def test_case(self, served):
        """
        Digits come in either case.
        """
        small = ask_for(cpusvn=AT.cpusvn.hex())
        big = "&".join(
            f"{k}={v.upper()}" for k, v in urllib.parse.parse_qsl(small)
        )

        assert (
            served.get(f"{V4}?{small}").body == served.get(f"{V4}?{big}").body
        )

    @pytest.mark.parametrize("who", ["one", "unseen"])
    def test_raw_tcb(self, served, who):
        """
        The raw TCB decides: the best certificate at or below it, whether it
        was seen before or not.
        """
        got = served.get(f"{V4}?{ask_for(who, tcbm(7, 7, pcesvn=12))}")

        assert AT.to_bytes().hex().upper() == got["sgx-tcbm"]

    def test_etag(self, served):
        """
        Who has the answer already gets a 304 without it.
        """
        first = served.get(f"{V4}?{ask_for()}")
        again = served.get(
            f"{V4}?{ask_for()}", {"If-None-Match": first["etag"]}
        )

        assert (304, b"") == (again.status, again.body)

    def test_head(self, served):
        """
        HEAD has the headers of GET and no body.
        """
        path = f"{V4}?{ask_for()}"
        head, got = served.get(path, method="HEAD"), served.get(path)

        assert (200, b"") == (head.status, head.body)
        for name in ("content-length", "sgx-tcbm", "etag"):
            assert got[name] == head[name]

    def test_encrypted_ppid(self, served):
        """
        An encrypted PPID changes nothing for a platform that is known, be it
        all zeros or not.
        """
        bare = served.get(f"{V4}?{ask_for()}").body
        for digits in ("0" * 768, "aB" * 384):
            got = served.get(f"{V4}?{ask_for(encrypted_ppid=digits)}")
            assert (200, bare) == (got.status, got.body)

    def test_revoked(self, served):
        """
        A certificate that the PCK CRL lists is given, and flagged.
        """
        got = served.get(f"{V4}?{ask_for('revoked')}")

        assert (200, '299 - "revoked by the PCK CRL"') == (
            got.status,
            got["warning"],
        )

    @pytest.mark.parametrize("prefix", ["/baseline/early", "/baseline/default"])
    def test_baseline(self, served, prefix):
        """
        Below a baseline the answer is the same: QPL has one base URL.
        """
        bare = served.get(f"{V4}?{ask_for()}")
        got = served.get(f"{prefix}{V4}?{ask_for()}")

        assert (200, bare.body) == (got.status, got.body)

    def test_at(self, served):
        """
        Below an instant there is none.
        """
        got = served.get(f"/at/2026-08-31{V4}?{ask_for()}")

        assert (404, "unknown-path") == (got.status, got["thim-reason"])


class TestJson:
    @pytest.mark.parametrize("path", PATHS)
    def test_answer(self, served, intel, path):
        """
        With Azure's api-version: one object with all four members, as Azure's
        client needs them.
        """
        pem = served.get(f"{path}?{ask_for()}")
        got = served.get(
            f"{path}?{ask_for()}&{AZURE}", {"Content-Type": "application/json"}
        )

        assert (200, "application/json") == (got.status, got["content-type"])
        assert {
            "pckCert": pem.body.decode(),
            "sgx-Pck-Certificate-Issuer-Chain": pem[
                "sgx-pck-certificate-issuer-chain"
            ],
            "sgx-Tcbm": pem["sgx-tcbm"],
            "cacheMaxAge": "86400",
        } == got.json
        assert "max-age=86400" == got["cache-control"]
        assert pem["etag"] != got["etag"]

    @pytest.mark.parametrize("version", ["v2", "v3", "v4"])
    def test_metadata(self, served, version):
        """
        The link-local path answers in JSON, whatever the query says, to who
        sends the header.
        """
        path = f"/metadata/THIM/sgx/certification/{version}/pckcert"
        plain = served.get(f"{V4}?{ask_for()}&{AZURE}")
        for header in ({"metadata": "true"}, {"Metadata": "True"}):
            got = served.get(f"{path}?{ask_for()}", header)
            assert (200, plain.json) == (got.status, got.json)

    @pytest.mark.parametrize("header", [{}, {"Metadata": "false"}])
    def test_no_metadata(self, served, header):
        """
        Without the header it is a 400 that names it.
        """
        path = f"/metadata/THIM/sgx/certification/v4/pckcert?{ask_for()}"
        got = served.get(path, header)

        assert 400 == got.status
        assert b"Metadata" in got.body


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"qeid": None}, "qeid"),
            ({"qeid": "00" * 15}, "qeid"),
            ({"qeid": "0g" * 16}, "qeid"),
            ({"cpusvn": "00" * 17}, "cpusvn"),
            ({"cpusvn": None}, "cpusvn"),
            ({"pcesvn": "0b"}, "pcesvn"),
            ({"pcesvn": "+1b0"}, "pcesvn"),
            ({"pceid": "zzzz"}, "pceid"),
            ({"pceid": "00 00"}, "pceid"),
            ({"encrypted_ppid": "00" * 383}, "encrypted_ppid"),
            ({"encrypted_ppid": "xy" * 384}, "encrypted_ppid"),
        ],
    )
    @pytest.mark.parametrize("more", ["", f"&{AZURE}"])
    def test_malformed(self, served, changes, named, more):
        """
        Whatever cannot be read is a 400 that names the parameter.
        """
        query = ask_for(**changes).replace(" ", "%20")
        got = served.get(f"{V4}?{query}{more}")

        assert (400, "parameter") == (got.status, got["thim-reason"])
        assert named.encode() in got.body

    def test_no_ppid_in_errors(self, served):
        """
        No answer repeats an encrypted PPID.
        """
        digits = "ab" * 383
        got = served.get(f"{V4}?{ask_for(encrypted_ppid=digits)}")

        assert b"abab" not in got.body

    def test_unknown(self, served):
        """
        A platform that nobody knows: PCCS's own status on its shape, a plain
        404 without a body on Azure's.
        """
        pem = served.get(f"{V4}?{ask_for('nobody')}")
        azure = served.get(f"{V4}?{ask_for('nobody')}&{AZURE}")

        assert (461, "unknown-platform") == (pem.status, pem["thim-reason"])
        assert pem.body.startswith(b"The platform was not found in the cache.")
        assert (404, b"", "unknown-platform") == (
            azure.status,
            azure.body,
            azure["thim-reason"],
        )

    @pytest.mark.parametrize(
        "changes",
        [
            {"profile": Profile.THIM},
            {"profile": Profile.PCS},
            {"vendors": VendorSettings(mode=FillMode.LAZY)},
        ],
    )
    def test_unknown_elsewhere(self, store, intel, changes):
        """
        Under the other profiles, and where vendors are asked, it is a 404.
        """
        with serving(
            store, lambda: NOW, anchors=intel.anchors, **changes
        ) as running:
            got = running.get(f"{V4}?{ask_for('nobody')}")

        assert (404, "unknown-platform") == (got.status, got["thim-reason"])

    @pytest.mark.parametrize(
        ("who", "changes", "reason"),
        [
            ("bare", {}, "no-pck-certificate"),
            ("one", {"at": tcbm(0, 0)}, "tcb-too-low"),
            ("one", {"at": tcbm(4, 4, pcesvn=1)}, "tcb-too-low"),
            ("two", {"pce_id": "0001"}, "pceid-byte-order"),
            ("one", {"pcesvn": "000b"}, "pcesvn-byte-order"),
            ("unseen", {"pcesvn": "000b"}, "pcesvn-byte-order"),
        ],
    )
    def test_reason(self, served, who, changes, reason):
        """
        A 404 says why in a header.
        """
        got = served.get(f"{V4}?{ask_for(who, **changes)}")

        assert (404, reason) == (got.status, got["thim-reason"])

    def test_high_pcesvn(self, intel, tmp_path):
        """
        A PCESVN that certificates have is none with its bytes swapped.
        """
        path = tmp_path / "thim.db"
        create_store(path, intel.anchors)
        high = tcbm(4, 4, pcesvn=0x0B00)
        with Ledger(path, intel.anchors) as ledger:
            ledger.platforms.enter([entry(intel, "one", high)], NOW)
        with serving(path, lambda: NOW, anchors=intel.anchors) as running:
            got = running.get(f"{V4}?{ask_for(at=high)}")

        assert (200, high.to_bytes().hex().upper()) == (
            got.status,
            got["sgx-tcbm"],
        )

    def test_old_api(self, store, intel):
        """
        Where old versions are gone, so is this.
        """
        with serving(
            store, lambda: NOW, anchors=intel.anchors, old_api=False
        ) as running:
            for _ in range(2):
                assert 410 == running.get(f"{PATHS[1]}?{ask_for()}").status
                assert 200 == running.get(f"{V4}?{ask_for()}").status


def exchange(port, raw, count=1):
    """
    Send *raw* some times on one connection, and return the last answer.
    """
    with (
        contextlib.closing(
            socket.create_connection(("127.0.0.1", port), timeout=10)
        ) as connection,
        connection.makefile("rb") as answers,
    ):
        answer = b""
        for _ in range(count):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(raw)
                answer = read_answer(answers) or answer
    return answer


def read_answer(answers):
    """
    Read one whole answer; what belongs to one sending is left out.
    """
    head = []
    while (line := answers.readline()) not in {b"\r\n", b""}:
        head.append(line)
    lengths = [
        int(line.split(b":")[1])
        for line in head
        if line.lower().startswith(b"content-length")
    ]
    if not head:
        return None  # the connection has ended
    own = (b"date:", b"age:", b"request-id:")
    kept = [line for line in head if not line.lower().startswith(own)]
    return b"".join(kept), answers.read(sum(lengths))


def request(query, *headers, path=V4, host="x"):
    """
    The bytes of a request.
    """
    lines = [f"GET {path}?{query} HTTP/1.1", f"Host: {host}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@pytest.fixture(scope="module")
def both(store, intel):
    """
    Two services over one store: with the fast path and, where a client
    certificate could matter and so nothing is answered fast, without.
    """
    with (
        serving(store, lambda: NOW, anchors=intel.anchors) as fast,
        serving(
            store, lambda: NOW, anchors=intel.anchors, is_fast=False
        ) as plain,
    ):
        yield fast, plain


WHO = st.sampled_from(["one", "two", "unseen", "bare", "revoked", "nobody"])
DIGITS = st.sampled_from(["0" * 768, "ab" * 384, "AB" * 384, "xy" * 384, ""])


@st.composite
def queries(draw):
    """
    Queries as clients send them, and almost so.
    """
    odd = [tcbm(0), tcbm(5, 5), tcbm(4, 4, pcesvn=0x0B00)]
    at = draw(st.sampled_from([AT, LOW, HIGH, *odd]))
    query = ask_for(draw(WHO), at, draw(st.sampled_from(["0000", "0100"])))
    pairs = query.split("&")
    if draw(st.booleans()):
        pairs.append(f"encrypted_ppid={draw(DIGITS)}")
    pairs = draw(st.permutations(pairs))
    if draw(st.booleans()):
        pairs += AZURE.split("&")
    if draw(st.integers(0, 4)) == 0:
        more = st.sampled_from(["qeid=00", "x", "", "pceid", "a=%41"])
        pairs.append(draw(more))
    text = "&".join(pairs)
    if draw(st.integers(0, 4)) == 0:
        old = draw(st.sampled_from(["0", "4", "&", "="]))
        new = draw(st.sampled_from([" ", "%30", "g", "+", "&&", "é"]))
        text = text.replace(old, new, 1)
    return text.upper() if draw(st.integers(0, 9)) == 0 else text


class TestFast:
    @settings(
        deadline=None,
        max_examples=300,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(query=queries(), more=st.sampled_from([(), ("Accept: */*",)]))
    def test_same(self, both, query, more):
        """
        Whatever comes, the fast path answers what the application answers,
        the first time and when it knows the form.
        """
        fast, plain = both
        raw = request(query, *more)

        expected = exchange(plain.port, raw)

        assert expected == exchange(fast.port, raw)
        assert expected == exchange(fast.port, raw, count=2)

    def test_used(self, served, store, intel):
        """
        It is the fast path that answers a form that is known, for another
        platform too.
        """
        with serving(
            store, lambda: NOW, anchors=intel.anchors, memo_bytes=0
        ) as running:
            desk = running.state["pck"]
            exchange(running.port, request(ask_for("two", pce_id="0100")))
            assert 0 == desk.hits
            exchange(running.port, request(ask_for("one")))
            assert 1 == desk.hits
            exchange(running.port, request(ask_for("unseen")))
            seen = len(running.state["service"].sightings.seen)

        assert 1 == desk.hits
        assert 3 == seen

    @pytest.mark.parametrize(
        "header",
        [
            "Authorization: Bearer x",
            "If-None-Match: *",
            "X-Forwarded-For: 1.2.3.4",
            "Metadata: true",
            "Connection: close",
        ],
    )
    def test_fall_through(self, store, intel, header):
        """
        A request that is not plain goes to the application.
        """
        with serving(
            store, lambda: NOW, anchors=intel.anchors, memo_bytes=0
        ) as running:
            desk = running.state["pck"]
            for _ in range(2):
                exchange(running.port, request(ask_for(), header))

        assert 0 == desk.hits

    def test_renewed(self, intel, tmp_path):
        """
        What is written while it serves is seen soon; nobody who was told of
        it gets what was before.
        """
        path = tmp_path / "thim.db"
        create_store(path, intel.anchors)
        with Ledger(path, intel.anchors) as ledger:
            ledger.platforms.enter([entry(intel, "one", LOW, raw=(AT,))], NOW)
            with serving(path, lambda: NOW, anchors=intel.anchors) as running:
                raw = request(ask_for())
                _, before = exchange(running.port, raw, count=3)
                ledger.platforms.enter(
                    [entry(intel, "one", AT, raw=(AT,))], NOW
                )
                told = running.get(f"{V4}?{ask_for()}", {"Request-ID": "x"})
                _, after = exchange(running.port, raw)

        assert before != after
        assert told.body == after

    def test_soon_expired(self, store, intel):
        """
        A certificate that ends within the policy's time is the application's:
        its age changes from second to second.
        """
        first = entry(intel, "one", AT).certificates[0].certificate
        late = first.not_after - datetime.timedelta(seconds=100)
        with serving(store, lambda: late, anchors=intel.anchors) as running:
            desk = running.state["pck"]
            for _ in range(2):
                head, _ = exchange(running.port, request(ask_for()))

        assert b"max-age=100\r\n" in head
        assert 0 == desk.hits

    def test_expired(self, store, intel):
        """
        An expired one says so.
        """
        first = entry(intel, "one", AT).certificates[0].certificate
        late = first.not_after + datetime.timedelta(seconds=1)
        with serving(store, lambda: late, anchors=intel.anchors) as running:
            got = running.get(f"{V4}?{ask_for()}&{AZURE}")

        assert ("max-age=0", "0") == (
            got["cache-control"],
            json.loads(got.body)["cacheMaxAge"],
        )
        assert got["warning"].startswith('110 - "expired ')


def test_sightings(intel, tmp_path):
    """
    Who asked is written down, by whichever way it was answered: when last,
    at which raw TCBs, and who is not known.
    """
    path = tmp_path / "thim.db"
    create_store(path, intel.anchors)
    fast, slow = entry(intel, "fast", AT, raw=(AT,)), entry(intel, "slow", AT)
    with Ledger(path, intel.anchors) as ledger:
        ledger.platforms.enter([fast, slow], NOW)
    later = NOW + datetime.timedelta(days=1)
    with serving(path, lambda: later, anchors=intel.anchors) as running:
        exchange(running.port, request(ask_for("slow", HIGH)))
        exchange(running.port, request(ask_for("fast")))
        exchange(running.port, request(ask_for("fast")))
        for _ in range(3):
            exchange(running.port, request(ask_for("nobody")))
    with contextlib.closing(Replica(path)) as replica:
        reader = PckReader(replica)
        known = [reader.find_platform(one.id) for one in (fast, slow)]
        strangers = replica.rows("SELECT qe_id, count FROM strangers")

    assert [(later, (AT,)), (later, (HIGH,))] == [
        (one.last_seen, one.raw_tcbs) for one in known if one
    ]
    assert [(platform_id("nobody").qe_id, 3)] == strangers
