import datetime
import json

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.baseline.test_rule import HOLDS, RULES
from thim.amd.tcb import ProductLine
from thim.baseline.definition import (
    check_baseline,
    check_name,
    parse_host,
    read_baseline,
    read_tenant,
    write_baseline,
    write_tenant,
)
from thim.baseline.minimum import Floor, Minimum, Silicon
from thim.baseline.model import (
    Approval,
    Baseline,
    Channel,
    Number,
    Overrides,
    Per,
    Quota,
    Tenant,
)
from thim.errors import MalformedError, ParameterError
from thim.intel.names import Update


STANDARD = Channel(update=Update.STANDARD)
SB = "AMD-SB-3019"

floors = st.builds(
    Floor,
    spl=st.integers(0, 255),
    source=st.text(min_size=1, max_size=20).filter(str.isprintable),
)
silicons = st.builds(
    Silicon, st.integers(0, 0xFFF), st.integers(0, 0xFF), st.integers(0, 15)
)
LABELS = st.text("abc", min_size=1, max_size=3)


@st.composite
def minimums(draw):
    """
    Minimums of some product lines.
    """
    found = {}
    for product in draw(st.sets(st.sampled_from(ProductLine))):
        names = [c for c in product.components if c != "microcode"]
        found[product] = Minimum(
            components=draw(st.dictionaries(st.sampled_from(names), floors)),
            microcode=draw(st.dictionaries(silicons, floors, max_size=3)),
        )
    return found


@st.composite
def baselines(draw):
    """
    Baselines whose parts go together.
    """
    rule = draw(RULES)
    is_fixed = isinstance(rule, Number)
    most = rule.number if is_fixed else 10**9 - 1
    return Baseline(
        name="mine",
        rule=rule,
        floor=draw(st.none() | st.integers(0, most)),
        hold=None if is_fixed else draw(st.none() | HOLDS),
        minimums=draw(minimums()),
        version=3,
    )


tenants = st.builds(
    Tenant,
    name=st.just("acme"),
    baseline=st.sampled_from(["default", "mine", "19"]),
    overrides=st.sampled_from(Overrides),
    hosts=st.lists(
        st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5}){0,2}", fullmatch=True),
        unique=True,
        max_size=3,
    ).map(tuple),
    quota=st.none()
    | st.builds(
        Quota, requests=st.integers(1, 10**6), per=st.sampled_from(Per)
    ),
    labels=st.dictionaries(LABELS, LABELS, max_size=3),
    version=st.just(2),
)


def read(**members):
    """
    Read the definition of a baseline.
    """
    return read_baseline("mine", 1, json.dumps({"rule": "standard", **members}))


def tenant(**members):
    """
    Read the definition of a tenant.
    """
    body = json.dumps({"baseline": "default", **members})
    return read_tenant("acme", 1, body)


def floor(spl=22, source=SB):
    """
    A floor as it is written down.
    """
    return {"spl": spl, "source": source}


TWICE = {"19/1/1": floor(), "19/01/1": floor()}


class TestReadBaseline:
    def test_least(self):
        """
        A rule is all that a baseline needs.
        """
        expected = Baseline(name="mine", rule=STANDARD, version=1)

        assert expected == read_baseline("mine", 1, '{"rule": "standard"}')

    def test_all(self):
        """
        It may have a floor, a hold, and minimums of AMD's product lines.
        """
        found = read(
            floor=19,
            hold="14d",
            amd={
                "Genoa": {"bl": floor(9), "ucode": {"19/11/1": floor(0x54)}},
                "Turin": {"fmc": floor(1), "tee": floor(1), "snp": floor(3)},
            },
        )

        assert (
            Baseline(
                name="mine",
                rule=STANDARD,
                floor=19,
                hold=datetime.timedelta(days=14),
                minimums={
                    ProductLine.GENOA: Minimum(
                        components={"bootloader": Floor(spl=9, source=SB)},
                        microcode={
                            Silicon(0x19, 0x11, 1): Floor(spl=0x54, source=SB)
                        },
                    ),
                    ProductLine.TURIN: Minimum(
                        components={
                            "fmc": Floor(spl=1, source=SB),
                            "tee": Floor(spl=1, source=SB),
                            "snp": Floor(spl=3, source=SB),
                        }
                    ),
                },
                version=1,
            )
            == found
        )

    def test_until_approved(self):
        """
        A hold may last until somebody approves.
        """
        assert Approval.UNTIL_APPROVED is read(hold="until-approved").hold

    @pytest.mark.parametrize(
        ("members", "named"),
        [
            ({"rule": "newest"}, "rule: got 'newest'"),
            ({"rule": 19}, r"\$\.rule"),
            ({"rule": "x" * 81}, r"\$\.rule"),
            ({"floor": -1}, r"\$\.floor"),
            ({"floor": 10**9}, r"\$\.floor"),
            ({"floor": "19"}, r"\$\.floor"),
            ({"hold": "soon"}, "hold: got 'soon'"),
            ({"holds": "14d"}, "holds"),
            ({"amd": {"Rome": {}}}, "amd: got 'Rome', expected one of Milan"),
            ({"amd": {"milan": {}}}, "amd: got 'milan'"),
            ({"amd": {"Milan": {"fmc": floor()}}}, "amd.Milan: got 'fmc'"),
            ({"amd": {"Milan": {"foo": floor()}}}, "foo"),
            ({"amd": {"Milan": {"microcode": floor()}}}, "microcode"),
            ({"amd": {"Milan": {"snp": 22}}}, r"\$\.amd\[\.\.\.\]\.snp"),
            ({"amd": {"Milan": {"snp": {"spl": 22}}}}, "source"),
            ({"amd": {"Milan": {"snp": floor(256)}}}, "spl"),
            ({"amd": {"Milan": {"snp": floor(-1)}}}, "spl"),
            ({"amd": {"Milan": {"snp": floor(source="")}}}, "source"),
            ({"amd": {"Milan": {"ucode": floor()}}}, "ucode"),
            ({"amd": {"Milan": {"snp": {"19/1/1": floor()}}}}, "snp"),
            ({"amd": {"Milan": {"ucode": {"19/01": floor()}}}}, "'19/01'"),
            (
                {"amd": {"Milan": {"ucode": TWICE}}},
                "ucode: got '19/1/1, 19/01/1', expected each silicon once",
            ),
        ],
    )
    def test_refused(self, members, named):
        """
        What is wrong is refused, and the message names the member.
        """
        with pytest.raises(MalformedError, match=named):
            read(**members)

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "[]",
            "null",
            "{}",
            '{"rule": "standard"',
            '{"rule": "standard"} x',
            '{"rule": "standard", "rule": "early"}',
            '{"rule": "standard", "floor": 19.0}',
            '{"rule": "\ud800"}',
            "[" * 100_000,
            b'{"rule": "\xff"}',
        ],
    )
    def test_strictly(self, body):
        """
        It is read strictly: no duplicate keys, nothing behind the end.
        """
        with pytest.raises(MalformedError):
            read_baseline("mine", 1, body)

    @pytest.mark.parametrize(
        ("members", "parameter"),
        [
            ({"rule": "number: 19", "hold": "14d"}, "hold"),
            ({"rule": "number: 19", "floor": 20}, "floor"),
        ],
    )
    def test_do_not_go_together(self, members, parameter):
        """
        A number that never moves needs no hold, and is not below its floor.
        """
        with pytest.raises(ParameterError) as e:
            read(**members)

        assert parameter == e.value.parameter

    def test_own_floor(self):
        """
        A number may be its own floor.
        """
        assert 19 == read(rule="number: 19", floor=19).floor

    @given(baselines())
    def test_round_trip(self, baseline):
        """
        Every baseline is read back from how it is written.
        """
        check_baseline(baseline)

        assert baseline == read_baseline("mine", 3, write_baseline(baseline))


class TestReadTenant:
    def test_least(self):
        """
        A baseline is all that a tenant needs; nobody may override it then.
        """
        expected = Tenant(
            name="acme",
            baseline="default",
            overrides=Overrides.NEVER,
            version=1,
        )

        assert expected == tenant()

    def test_all(self):
        """
        It may have host names, a quota and labels, and allow overrides.
        """
        found = tenant(
            overrides="allowed",
            hosts=["A.Example.", "b.example", "a.example"],
            quota={"requests": 60, "per": "token"},
            labels={"region": "eu"},
        )

        assert (
            Tenant(
                name="acme",
                baseline="default",
                overrides=Overrides.ALLOWED,
                hosts=("a.example", "b.example"),
                quota=Quota(requests=60, per=Per.TOKEN),
                labels={"region": "eu"},
                version=1,
            )
            == found
        )

    def test_quota_by_address(self):
        """
        A quota is for each address unless it says otherwise.
        """
        assert (
            Quota(requests=1, per=Per.SOURCE)
            == tenant(quota={"requests": 1}).quota
        )

    def test_deleted(self):
        """
        A version may say that there is no such tenant any more.
        """
        assert tenant(deleted=True) is None

    def test_root_stays(self):
        """
        The root is everybody, who cannot be deleted.
        """
        body = '{"baseline": "default", "deleted": true}'

        with pytest.raises(ParameterError, match="root is everybody"):
            read_tenant("root", 1, body)

    @pytest.mark.parametrize(
        ("members", "named"),
        [
            ({"baseline": None}, "baseline"),
            ({"baseline": "x" * 64}, "baseline"),
            ({"overrides": "always"}, "overrides"),
            ({"override": "never"}, "override"),
            ({"hosts": "a.example"}, "hosts"),
            ({"hosts": ["a_b"]}, "host: got 'a_b', expected a host name"),
            ({"hosts": ["a"] * 65}, "hosts"),
            ({"quota": {"requests": 0}}, "requests"),
            ({"quota": {"requests": 1_000_001}}, "requests"),
            ({"quota": {"requests": 1, "per": "day"}}, "per"),
            ({"quota": 60}, "quota"),
            ({"labels": {"a": 1}}, "labels"),
            ({"labels": {"a": ""}}, "labels"),
            ({"labels": {"a": "\x1b[2J"}}, "labels"),
            ({"labels": {"a": "b" * 257}}, "labels"),
            ({"labels": {"a b": "c"}}, "labels"),
            ({"labels": {"a\n": "c"}}, "labels"),
            ({"labels": {str(n): "" for n in range(33)}}, "labels"),
            ({"deleted": "yes"}, "deleted"),
            ({"name": "other"}, "name"),
        ],
    )
    def test_refused(self, members, named):
        """
        What is wrong is refused, and the message names the member.
        """
        with pytest.raises(MalformedError, match=named):
            tenant(**members)

    @given(tenants)
    def test_round_trip(self, given_tenant):
        """
        Every tenant is read back from how it is written.
        """
        body = write_tenant(given_tenant)

        assert given_tenant == read_tenant("acme", 2, body)
        gone = write_tenant(given_tenant, is_deleted=True)
        assert read_tenant("acme", 2, gone) is None


class TestCheckName:
    @pytest.mark.parametrize("name", ["a", "acme", "a-1-", "x" * 63])
    def test_name(self, name):
        """
        A name is a letter, then letters, digits and hyphens.
        """
        assert name == check_name(name)

    @pytest.mark.parametrize(
        "name",
        ["", "19", "1a", "-a", "Acme", "a_b", "a/b", "x" * 64, "a\n", "\u00e4"],
    )
    def test_no_name(self, name):
        """
        Anything else is refused: a number is a baseline of its own.
        """
        with pytest.raises(ParameterError, match="a lower-case letter, then"):
            check_name(name)

    @pytest.mark.parametrize(
        "name",
        [
            "sgx",
            "tdx",
            "early",
            "standard",
            "default",
            "latest",
            "azure",
            "root",
        ],
    )
    def test_reserved(self, name):
        """
        Some names have a meaning already, and the message lists them.
        """
        with pytest.raises(ParameterError, match=r"azure, default, .* taken"):
            check_name(name)


class TestParseHost:
    @pytest.mark.parametrize(
        ("text", "host"),
        [
            ("acme.example", "acme.example"),
            ("ACME.Example.", "acme.example"),
            ("localhost", "localhost"),
            ("a-b.c1", "a-b.c1"),
            ("1and1.example", "1and1.example"),
        ],
    )
    def test_host(self, text, host):
        """
        A host name comes out in lower case, without the dot at its end.
        """
        assert host == parse_host(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ".",
            "a..b",
            "a.example..",
            "a b",
            "a.example:443",
            "-a.example",
            "a-.example",
            "*.example",
            "10.0.0.1",
            "10.1",
            "::1",
            "[::1]",
            "x" * 64,
            ".".join(["x" * 60] * 5),
            "a\n",
            "\u00e4.example",
        ],
    )
    def test_no_host(self, text):
        """
        Anything else is refused: an address is nobody's name.
        """
        with pytest.raises(ParameterError, match="expected a host name"):
            parse_host(text)
