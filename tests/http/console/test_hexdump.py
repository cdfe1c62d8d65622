import pytest

from thim.http.console.hexdump import MOST_SHOWN, show_bytes


class TestShow:
    @pytest.mark.parametrize("body", [b"", b"a\tb\r\n", "é☃".encode()])
    def test_text(self, body):
        """
        Text is shown as it is.
        """
        assert (body.decode(), True) == show_bytes(body)

    @pytest.mark.parametrize(
        ("body", "shown"),
        [
            (b"\0a", "0000  00 61" + " " * 44 + ".a"),
            (b"\xff", "0000  ff" + " " * 47 + "."),
            ("\u202e".encode(), "0000  e2 80 ae" + " " * 41 + "..."),
        ],
        ids=["control", "not-utf-8", "direction"],
    )
    def test_bytes(self, body, shown):
        """
        What is none is shown in hexadecimal digits: control characters and
        what turns the direction of text among it.
        """
        assert (shown, False) == show_bytes(body)

    def test_rows(self):
        """
        A row has sixteen bytes, and says where it begins.
        """
        shown, _ = show_bytes(bytes(40))

        assert ["0000", "0010", "0020"] == [
            row[:4] for row in shown.splitlines()
        ]

    def test_cut(self):
        """
        Of long text the beginning is shown, without half a letter.
        """
        shown, is_text = show_bytes(b"x" + "é".encode() * MOST_SHOWN)

        assert (MOST_SHOWN // 2, True) == (len(shown), is_text)
