import pytest

from tests.simulate.asking import SGX, ask, send
from tests.simulate.machines import (
    REGISTRATION,
    by_manifest,
    by_ppid,
    playing,
)
from thim.simulate.redact import redact_body, redact_query


LONG = "ab" * 200


class TestQuery:
    @pytest.mark.parametrize(
        "query",
        [
            "",
            "fmspc=00606A000000&update=early",
            "a",
            "a=%2B+%3D",
            "&&=",
            "a=b=c",
        ],
    )
    def test_plain(self, query):
        """
        What is no secret is recorded as it came.
        """
        assert query == redact_query(query)

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("encrypted_ppid=0&x=1", "encrypted_ppid=1:5feceb66ffc8&x=1"),
            ("Encrypted%5FPPID=0", "Encrypted%5FPPID=1:5feceb66ffc8"),
            ("encrypted_ppid=", "encrypted_ppid="),
        ],
    )
    def test_secret(self, query, expected):
        """
        Of a secret there are the length and the beginning of a digest.
        """
        assert expected == redact_query(query)

    @pytest.mark.parametrize("query", [f"x={LONG}", LONG, f"{LONG}=1"])
    def test_long(self, query):
        """
        So it is with all that is long, wherever it stands.
        """
        told = redact_query(query)

        assert "abab" not in told
        assert "400:" in told


class TestBody:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (b"", ""),
            (None, "too large"),
            (b'{"pceid": "0000", "n": 1}', "pceid=0000&n=1"),
            (b'{"platformManifest": "0"}', "platformManifest=1:5feceb66ffc8"),
            (b"0", "1:5feceb66ffc8"),
            (b"\xff", "1:a8100ae6aa19"),
            (b"[" * 100_000, "100000:13f86ea1e7ed"),
        ],
    )
    def test_body(self, body, expected):
        """
        A body is recorded by its members, or by its digest.
        """
        assert expected == redact_body(body)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"x": {"encrypted_ppid": "abcd"}}',
            b'{"x": ["abcd"]}',
            f'{{"{LONG}": 1, "y": "{LONG}"}}'.encode(),
        ],
    )
    def test_hidden(self, body):
        """
        A secret that stands elsewhere is none the less one.
        """
        assert "abcd" not in redact_body(body)
        assert "abab" not in redact_body(body)


class TestRecorded:
    def test_ppid(self, simulated, get):
        """
        A request by PPID is recorded with the machine's name and without the
        PPID, here and on the admin port.
        """
        machine = simulated.platform("ice-1")
        get(by_ppid(machine))
        (record,) = simulated.requests.of("pckcerts", "pceid=0000")
        listed = ask(simulated.admin_url, "/requests")

        assert "ice-1" == record.platform
        assert record.query.startswith("encrypted_ppid=768:")
        assert machine.enc_ppid.hex()[:32].encode() not in listed.body
        assert b'"platform":"ice-1"' in listed.body

    def test_manifest(self):
        """
        So is one by manifest.
        """
        with playing(ice_1={"multi_package": True}) as running:
            machine = running.platform("ice-1")
            send(running.url, f"{SGX}/pckcerts", by_manifest(machine))
            binary = "application/octet-stream"
            send(running.url, REGISTRATION, machine.manifest, kind=binary)
            first, second = running.requests
            listed = ask(running.admin_url, "/requests").body

        assert first.body.startswith("platformManifest=16862:")
        assert second.body.startswith("8431:")
        assert {"ice-1"} == {first.platform, second.platform}
        assert machine.manifest.hex()[:32].encode() not in listed

    def test_others(self, simulated, get):
        """
        Other records are what they were.
        """
        get(f"{SGX}/fmspcs")
        (record,) = ask(simulated.admin_url, "/requests").json["requests"]

        assert not {"platform", "body"} & record.keys()
