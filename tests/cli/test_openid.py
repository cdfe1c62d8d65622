import datetime

import pytest

from thim.cli.config import load
from thim.cli.openid import parse_openid
from thim.errors import OperatorError
from thim.services.openid_settings import OpenIdSettings
from thim.services.tokens import Role


TABLE = {
    "issuer": "https://login.example/realm",
    "audience": "api://thim",
    "roles": {"thim-admin": "admin"},
}


def parse(**changed):
    """
    Read a table, with what it must have unless that is given; None leaves it
    out.
    """
    given = {k: v for k, v in {**TABLE, **changed}.items() if v is not None}
    return parse_openid(given)


def refusal(**changed):
    """
    Return what is said of a table that is refused.
    """
    with pytest.raises(ValueError, match="expected") as caught:
        parse(**changed)
    return str(caught.value)


class TestGood:
    def test_none(self):
        """
        By default nobody's tokens are taken.
        """
        assert parse_openid("none") is None

    def test_least(self):
        """
        Three keys will do.
        """
        assert (
            OpenIdSettings(
                issuer="https://login.example/realm",
                audiences=("api://thim",),
                roles=(("thim-admin", Role.ADMIN),),
            )
            == parse()
        )

    def test_all(self, tmp_path):
        """
        All others may be given.
        """
        ca_file = tmp_path / "ca.pem"
        ca_file.write_text("x")

        found = parse(
            issuer="http://127.0.0.1:8000",
            audience=["a", "b"],
            roles={"a": "operator", "b": "registrar", "c": "reader"},
            roles_claim=["realm_access", "roles"],
            algorithms=["RS256", "ES256"],
            tenant_claim="org",
            key_origins="https://Keys.example",
            ca_file=str(ca_file),
            leeway="30s",
        )

        assert ("a", "b") == found.audiences
        assert (Role.OPERATOR, Role.REGISTRAR, Role.READER) == tuple(
            role for _, role in found.roles
        )
        assert ("realm_access", "roles") == found.roles_claim
        assert ("RS256", "ES256") == found.algorithms
        assert ("org",) == found.tenant_claim
        assert ca_file == found.ca_file
        assert datetime.timedelta(seconds=30) == found.leeway
        assert "http://127.0.0.1:8000" == str(found)

    def test_tenant(self):
        """
        All bearers may be one tenant's.
        """
        assert "acme" == parse(tenant="acme").tenant

    def test_origins(self):
        """
        Where else keys may be is a host.
        """
        found = parse(key_origins=["https://Keys.example", "https://b:444"])

        assert (
            "https://keys.example:443",
            "https://b:444",
        ) == found.key_origins


class TestRefused:
    @pytest.mark.parametrize("name", ["issuer", "audience", "roles"])
    def test_missing(self, name):
        """
        What it needs is named.
        """
        assert name in refusal(**{name: None})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("issuer", "http://login.example"),
            ("issuer", "login.example"),
            ("issuer", "https://u@login.example"),
            ("issuer", "https://login.example/?a"),
            ("issuer", "https://lögin.example"),
            ("issuer", 7),
            ("audience", []),
            ("audience", [""]),
            ("audience", 7),
            ("roles", {}),
            ("roles", {"a": "king"}),
            ("roles", {"a": "agent"}),
            ("roles", {"a": ["admin"]}),
            ("roles", {"": "admin"}),
            ("roles", "admin"),
            ("roles_claim", []),
            ("algorithms", ["none"]),
            ("algorithms", ["HS256"]),
            ("algorithms", "RS1"),
            ("tenant", "Not A Name"),
            ("tenant", 7),
            ("tenant_claim", ""),
            ("key_origins", "https://keys.example/path"),
            ("key_origins", "http://keys.example"),
            ("ca_file", "/not/there"),
            ("leeway", "1d"),
        ],
    )
    def test_value(self, name, value):
        """
        A bad value is named, with what is expected.
        """
        assert refusal(**{name: value}).startswith(f"{name}: got ")

    def test_key(self):
        """
        An unknown key comes with a suggestion.
        """
        assert "did you mean 'audience'" in refusal(audiences="x")

    def test_both(self):
        """
        A tenant is fixed, or said by the token.
        """
        assert "not both" in refusal(tenant="acme", tenant_claim="org")

    @pytest.mark.parametrize("value", ["some", 7, [TABLE]])
    def test_no_table(self, value):
        """
        It is a table.
        """
        with pytest.raises(ValueError, match="table"):
            parse_openid(value)


class TestLoaded:
    def test_file(self, tmp_path):
        """
        In a file it is a table of its own, with one for roles inside.
        """
        file = tmp_path / "thim.toml"
        file.write_text(
            "[openid]\n"
            'issuer = "https://login.example"\n'
            'audience = "api://thim"\n'
            "[openid.roles]\n"
            '"Attestation Reader" = "reader"\n'
        )

        found = load({}, {}, file)["openid"]

        assert (("Attestation Reader", Role.READER),) == found.value.roles

    def test_bad(self, tmp_path):
        """
        A mistake names the setting and the file.
        """
        file = tmp_path / "thim.toml"
        file.write_text('openid = "yes"\n')

        with pytest.raises(OperatorError, match=r"openid \(file .*table"):
            load({}, {}, file)
