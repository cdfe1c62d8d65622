"""
The IDs of tokens.
"""

import datetime

from tests.platforms import NOW
from thim.services.token_ids import make_token_id


class TestTokenIds:
    """
    IDs of tokens.
    """

    def test_order(self):
        """
        They come in the order of time, to the millisecond.
        """
        later = NOW + datetime.timedelta(milliseconds=1)

        assert make_token_id(NOW) < make_token_id(later)

    def test_drawn(self):
        """
        Two of one instant differ.
        """
        assert make_token_id(NOW) != make_token_id(NOW)

    def test_form(self):
        """
        All are of 32 bytes, whatever the clock says.
        """
        past = datetime.datetime(1960, 1, 1, tzinfo=datetime.UTC)
        for now in (past, NOW):
            assert 32 == len(bytes.fromhex(make_token_id(now)))
