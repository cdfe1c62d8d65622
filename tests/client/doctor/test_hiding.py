import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.client.doctor.hiding import Hider


HIDE = Hider(["/home/alice", "/", ""])
TOKEN = "Zk3vQ9mXr7TbL2wPd8YsHf5KcJn4GaE6Uo1RiV0yBt"


class TestSecrets:
    @pytest.mark.parametrize(
        "text",
        [
            "https://bob:hunter2@thim.example/sgx/",
            "https://hunter2@thim.example/",
            "https://thim.example/?api=hunter2",
            "https://thim.example/?ca=platform&key=hunter2&x=1",
            "Authorization: Bearer hunter2",
            "user-token: hunter2",
            "Ocp-Apim-Subscription-Key: hunter2",
            '"api_key": "hunter2"',
            "password=hunter2",
            "password = 'my hunter2'",
            "passwd: hunter2",
            "pwd=hunter2",
            "passphrase: hunter2",
            "client_secret=hunter2",
            "credential=hunter2",
            "credentials: hunter2",
            "sharedAccessKey=hunter2",
            "account key: hunter2",
            "private_key: hunter2",
            "shared-key=hunter2",
            "refused BEARER hunter2",
            "refused basic hunter2hunter2",
            "Authorization: Negotiate hunter2",
            'authorization: Digest username="a", response="hunter2"',
            "Set-Cookie: sid=1; other=hunter2",
            "bob:hunter2@proxy.example:3128",
            "http://bob:/hunter2@proxy.example:3128",
            "https://bob:p@hunter2@thim.example/",
            "bob:p@hunter2@proxy.example:3128",
            "https://thim.example/?hunter2",
            "https://thim.example/?ca=platform;sig=hunter2",
            "https://thim.example/sgx;jsessionid=hunter2",
            "X-Auth: hunter2",
            "SharedAccessSignature=hunter2",
            "pass = hunter2",
            "passcode: hunter2",
            "key=hunter2",
            "Key = hunter2",
            "key = 'my hunter2'",
            '"key": "hunter2"',
            "bearer=hunter2",
            "https://thim.example/key=hunter2/v4",
            "https://thim.example/sgx/key/hunter2/v4",
            "https://thim.example/token/hunter2",
            "password: my long hunter2",
            "passphrase = my long hunter2, and more",
            "-----BEGIN PRIVATE KEY----- hunter2 -----END PRIVATE KEY-----",
            "-----BEGIN EC PRIVATE KEY-----\nhunter2",
            "x-api-key hunter2",
            "file /home/hunter2/thim.toml",
            "file /Users/hunter2/thim.toml",
            r"C:\Users\hunter2\sgx.conf",
        ],
    )
    def test_hidden(self, text):
        """
        Passwords, keys, tokens and names of users do not get through.
        """
        assert "hunter2" not in HIDE(text)

    @pytest.mark.parametrize(
        "secret",
        [
            TOKEN,
            "ab" * 16,
            "0F" * 384,
            "0x" + "0F" * 16,
            ":".join(["0F"] * 16),
            " ".join(["ab"] * 16),
            "-".join(["0F"] * 16),
            "123e4567-e89b-12d3-a456-426614174000",
            "123E4567-E89B-12D3-A456-426614174000",
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
            "github_pat_11abcdefg0_abcdefghijklmnop",
            "glpat-abcdefghij1234567890",
            "sk-proj-abcdefghijklmnopqrst",
            "xoxb-1234-5678-abcdefghijkl",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.",
            "q9/abcdEFGH1234567890abcd+/efghijklMNOP1234567=",
        ],
    )
    def test_looks(self, secret):
        """
        Neither does what looks like a token, a QE ID or an encrypted PPID.
        """
        assert secret not in HIDE(f"got {secret}, expected nothing")
        assert "expected nothing" in HIDE(f"got {secret}, expected nothing")

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            (
                "https://bob:p@ss@thim.example:8443/",
                "https://…@thim.example:8443/",
            ),
            ("bob:p/ss@thim.example:3128", "…@thim.example:3128"),
        ],
    )
    def test_host_stays(self, url, expected):
        """
        Of a URL with a user and a password scheme and host can be read still.
        """
        assert f"asks {expected}" == HIDE(f"asks {url}")

    def test_home(self):
        """
        The user's own folder is ~, and a longer name is another folder.
        """
        hide = Hider(["/srv/b.b/"])

        assert "~/x" == hide("/srv/b.b/x")
        assert "/srv/b.b2/x" == hide("/srv/b.b2/x")
        assert "/srv/bob/x" == hide("/srv/bob/x")

    def test_homes(self):
        """
        Of folders within one another the innermost that is known counts.
        """
        assert "~/x" == Hider(["/srv", "/srv/bob", "/"])("/srv/bob/x")

    def test_other_home(self):
        """
        Where home is somebody else's their name is left out.
        """
        assert "/home/…/x" == HIDE("/home/alice2/x")

    @pytest.mark.parametrize(
        "text",
        [
            "https://thim.example:8443/sgx/certification/v4/tcb?fmspc=00606A000000",
            "https://thim.example/pckcrl?ca=platform&encoding=der",
            "https://thim.example/sgx/certification/v4/tcb?FMSPC=00606A000000",
            "a basic set of rules",
            "TCB_VERSION 0300000000000873",
            "the signature: it does not hold. Which key? Nobody's",
            "0xe019 SGX_QL_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED",
            "/usr/local/share/ca-certificates/company.crt",
            "2026-09-01T12:00:00Z (29.9 days left)",
            "root certificates of a private CA",
            "http://169.254.169.254/metadata/THIM/sgx/certification/v4/",
            "/usr/share/Company2024/Certificates/Trusted/Roots/thim.pem",
            "nobody listens there: connection refused",
            "its key: see docs/operating.md",
            "/etc/thim/key/thim.key",
            "https://thim.example/tokens/list",
            "the password is missing",
            "-----BEGIN CERTIFICATE----- MIIC",
            "a task-proj-of-somebody-else-and-more",
        ],
    )
    def test_kept(self, text):
        """
        What names documents, files and hosts stays.
        """
        assert text == HIDE(text)


class TestBounds:
    def test_terminal(self):
        """
        Nothing can drive a terminal, or begin a line.
        """
        assert "\\x1b[2Jx\\n!!" == HIDE("\x1b[2Jx\n!!")

    def test_long(self):
        """
        A text has an end.
        """
        assert 2001 == len(HIDE("x " * 100_000))

    @pytest.mark.parametrize(
        "before",
        [
            "https://x.example/?a=b " * 170,
            # Much is taken out of it, so that its end is to be seen.
            ("?a=" + "x" * 96 + " ") * 39 + "x" * 80 + " ",
        ],
    )
    def test_cut(self, before):
        """
        What is cut off within a secret leaves no part of it.
        """
        assert "ab" not in HIDE(before + "ab" * 999)

    @pytest.mark.parametrize(
        "piece", ["a", "a-", "//", "?a=", "0x", "a:", "ab "]
    )
    def test_endless(self, piece):
        """
        However long a text is that somebody sends, it is done with at once.
        """
        assert len(HIDE(piece * 2_000_000)) <= 2001

    @given(st.text())
    def test_anything(self, text):
        """
        Any text can be hidden from, and the result is on one line.
        """
        assert HIDE(text).isprintable() or not text.isascii()
        assert "\n" not in HIDE(text)
