from datetime import timedelta

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.cli.day_zero import closed
from tests.services.made import INTEL, STRANGER
from thim.cli.upstreams import parse_intel_upstreams
from thim.cli.values import (
    Address,
    duration,
    one_of,
    parse_anchors,
    parse_boolean,
    parse_duration,
    parse_expired,
    parse_file,
    parse_fill,
    parse_fmspcs,
    parse_listen,
    parse_profile,
    parse_retention,
    parse_store,
    parse_text,
    whole_number,
)
from thim.collateral.records import Kind
from thim.services.vendors import FillMode
from thim.x509.chain import to_pem


PARSERS = [
    duration("1s", "1m"),
    one_of("a", "b"),
    parse_anchors,
    parse_boolean,
    parse_duration,
    parse_expired,
    parse_file,
    parse_fill,
    parse_fmspcs,
    parse_listen,
    parse_profile,
    parse_retention,
    parse_store,
    parse_text,
    parse_intel_upstreams,
    whole_number(0, 9),
]
#: What TOML can hold.
scalars = (
    st.text(max_size=20)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.dates()
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([k.value for k in Kind] + ["url", "kind", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


class TestAnything:
    @given(st.sampled_from(PARSERS), anything)
    def test_value_or_error(self, parse, value):
        """
        Whatever a file can hold is a value or a ``ValueError``.
        """
        try:
            parse(value)
        except ValueError as e:
            assert str(e)  # noqa: PT017 - nothing else may come


class TestDuration:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("500ms", timedelta(milliseconds=500)),
            ("90s", timedelta(seconds=90)),
            ("0s", timedelta(0)),
            ("2m", timedelta(minutes=2)),
        ],
    )
    def test_within(self, text, expected):
        """
        A duration within bounds, which are included.
        """
        assert expected == duration("0s", "2m")(text)

    @pytest.mark.parametrize("text", ["9ms", "121s", "1d"])
    def test_beyond(self, text):
        """
        One beyond them is refused with the bounds.
        """
        with pytest.raises(ValueError, match="a duration from 10ms to 2m"):
            duration("10ms", "2m")(text)

    @given(st.integers(0, 999_999_999), st.sampled_from(["s", "m", "h", "d"]))
    def test_units(self, number, unit):
        """
        The number counts the unit.
        """
        one = {
            "s": timedelta(seconds=1),
            "m": timedelta(minutes=1),
            "h": timedelta(hours=1),
            "d": timedelta(days=1),
        }[unit]

        assert number * one == parse_duration(f"{number}{unit}")


class TestRetention:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("none", None),
            ("1h", timedelta(hours=1)),
            ("90d", timedelta(days=90)),
        ],
    )
    def test_taken(self, value, expected):
        """
        A duration, or none for ever.
        """
        assert expected == parse_retention(value)

    @pytest.mark.parametrize("value", ["59m", "", "None", "90", None, 90])
    def test_refused(self, value):
        """
        Nothing is erased within the hour, or by a number without its unit.
        """
        with pytest.raises(ValueError, match="expected a duration"):
            parse_retention(value)


class TestListen:
    @given(
        st.ip_addresses() | st.sampled_from(["localhost", "a-b.example"]),
        st.integers(0, 65535),
    )
    def test_round_trip(self, host, port):
        """
        An address is written as it is read.
        """
        address = Address(host=str(host), port=port)

        assert address == parse_listen(str(address))


class TestFile:
    def test_permission_denied(self, tmp_path):
        """
        A file that this user may not look for is not said to be absent.
        """
        path = tmp_path / "server.pem"
        path.touch()
        with (
            closed(tmp_path),
            pytest.raises(ValueError, match="permission denied"),
        ):
            parse_file(str(path))


class TestFill:
    @pytest.mark.parametrize("mode", FillMode)
    def test_good(self, mode):
        """
        Each mode is read by its name.
        """
        assert mode is parse_fill(mode.value)

    @pytest.mark.parametrize("value", ["LAZY", "", "req", 1, ["lazy"]])
    def test_bad(self, value):
        """
        There are no others.
        """
        with pytest.raises(
            ValueError, match="expected lazy or registered or offline"
        ):
            parse_fill(value)


class TestFmspcs:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ([], set()),
            (["00606a000000"], {"00606A000000"}),
            (["00606A000000", "00606a000000"], {"00606A000000"}),
            ("00606a000000", {"00606A000000"}),
            (
                "00606a000000, 00906ED50000",
                {"00606A000000", "00906ED50000"},
            ),
        ],
    )
    def test_good(self, value, expected):
        """
        A list, or a text with commas; either case.
        """
        assert expected == parse_fmspcs(value)

    @pytest.mark.parametrize(
        "value",
        [
            "",
            ",",
            "00606A00000",
            "00606A0000000",
            "00606A00000G",
            "00606A000000,",
            "00606A000000 00906ED50000",
            [1],
            [["00606A000000"]],
            {"00606A000000": True},
            606,
            True,
        ],
    )
    def test_bad(self, value):
        """
        Whatever else is none.
        """
        with pytest.raises(ValueError, match="expected FMSPCs, each of 12"):
            parse_fmspcs(value)


ALL = set(Kind) - {Kind.FMSPCS, Kind.PCK_CERTIFICATES}


class TestExpired:
    @pytest.mark.parametrize(
        ("value", "refused", "text"),
        [
            ("flag", set(), "flag"),
            ("refuse", ALL, "refuse"),
            ({}, set(), "flag"),
            ({"tcb-info": "flag"}, set(), "flag"),
            ({"tcb-info": "refuse"}, {Kind.TCB_INFO}, "tcb-info=refuse"),
            ("tcb-info=refuse", {Kind.TCB_INFO}, "tcb-info=refuse"),
            (
                "tcb-info=refuse, pck-crl = refuse,identity=flag",
                {Kind.TCB_INFO, Kind.PCK_CRL},
                "pck-crl=refuse,tcb-info=refuse",
            ),
            (dict.fromkeys((k.value for k in ALL), "refuse"), ALL, "refuse"),
        ],
    )
    def test_good(self, value, refused, text):
        """
        One rule for all, or one for each kind; and it is written so that it
        can be read again.
        """
        rule = parse_expired(value)

        assert (refused, text) == (rule.refused, str(rule))
        assert rule == parse_expired(str(rule))

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "serve",
            "Refuse",
            "tcb-info",
            "tcb-info=",
            "tcb-info=serve",
            "fmspcs=refuse",
            "=refuse",
            {"tcb-info": True},
            {"tcb-info": ["refuse"]},
            {"tcb_info": "refuse"},
            ["refuse"],
            True,
            1,
        ],
    )
    def test_bad(self, value):
        """
        Whatever else is refused with what there is.
        """
        with pytest.raises(
            ValueError, match=r"expected flag or refuse.*pck-crl"
        ):
            parse_expired(value)


class TestAnchors:
    def test_good(self, tmp_path):
        """
        The keys of all roots in the file are the anchors; it is shown by its
        path.
        """
        path = tmp_path / "roots.pem"
        path.write_bytes(to_pem([INTEL.root, STRANGER.root]))
        found = parse_anchors(str(path))

        expected = INTEL.anchors.spki_sha256 | STRANGER.anchors.spki_sha256
        assert (expected, str(path)) == (found.anchors.spki_sha256, str(found))

    @pytest.mark.parametrize(
        "content", [b"", b"nonsense", to_pem([INTEL.root])[:99], b"\xff" * 99]
    )
    def test_bad(self, tmp_path, content):
        """
        A file without a certificate is none.
        """
        path = tmp_path / "roots.pem"
        path.write_bytes(content)

        with pytest.raises(ValueError, match="root certificates in PEM"):
            parse_anchors(str(path))

    @pytest.mark.parametrize("value", ["/nonexistent", "", 1, "/"])
    def test_missing(self, value):
        """
        It must be there.
        """
        with pytest.raises(
            ValueError, match=r"expected text|file that is ther"
        ):
            parse_anchors(value)
