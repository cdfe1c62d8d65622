"""
How instants are written.
"""

import datetime

from thim.http.console.render import show_instant


AT = datetime.datetime(2026, 9, 1, 12, 0, 7, tzinfo=datetime.UTC)


class TestInstant:
    def test_minute(self):
        """
        To the minute, and exactly on hovering.
        """
        assert (
            '<time datetime="2026-09-01T12:00:07Z" '
            'title="2026-09-01T12:00:07Z">2026-09-01 12:00</time>'
        ) == show_instant(AT)

    def test_second(self):
        """
        To the second where much happens in a minute.
        """
        assert ">2026-09-01 12:00:07<" in show_instant(AT, to_second=True)

    def test_text(self):
        """
        An instant that is written already is read first.
        """
        assert show_instant(AT) == show_instant("2026-09-01T12:00:07Z")
