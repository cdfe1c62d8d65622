from pathlib import Path

import pytest

from thim.errors import OperatorError
from thim.store.location import default_location, parse_location


class TestParseLocation:
    @pytest.mark.parametrize(
        "text",
        [
            "/var/lib/thim.db",
            "sqlite:////var/lib/thim.db",
        ],
    )
    def test_absolute(self, text):
        """
        A path and a URL with four slashes name the same file.
        """
        assert Path("/var/lib/thim.db") == parse_location(text)

    @pytest.mark.parametrize("text", ["thim.db", "sqlite:///thim.db"])
    def test_relative(self, text, tmp_path, monkeypatch):
        """
        A relative path is one below the folder we are in.
        """
        monkeypatch.chdir(tmp_path)

        assert tmp_path / "thim.db" == parse_location(text)

    def test_home(self, tmp_path, monkeypatch):
        """
        A tilde is the user's home, as no shell has a chance to say in a URL.
        """
        monkeypatch.setenv("HOME", str(tmp_path))

        assert tmp_path / "thim.db" == parse_location("sqlite:///~/thim.db")

    def test_home_of_nobody(self):
        """
        The home of a user that there is not is an error of the operator's.
        """
        with pytest.raises(OperatorError, match="no-such-user"):
            parse_location("~no-such-user/thim.db")

    @pytest.mark.parametrize(
        "text", ["postgresql://host/thim", "sqlite://host/thim.db", "x://"]
    )
    def test_other_scheme(self, text):
        """
        A store that this release cannot use is refused by its scheme.
        """
        with pytest.raises(OperatorError, match="expected sqlite:///PATH"):
            parse_location(text)

    @pytest.mark.parametrize("text", ["", "sqlite:///", "a\0b"])
    def test_no_path(self, text):
        """
        Nothing, and what no file can be called, is refused.
        """
        with pytest.raises(OperatorError, match="path is empty"):
            parse_location(text)


class TestDefaultLocation:
    def test_data_folder(self):
        """
        The user's data folder is where the desktop specification says.
        """
        found = default_location({"XDG_DATA_HOME": "/data"})

        assert Path("/data/thim/thim.db") == found

    @pytest.mark.parametrize(
        "environment", [{}, {"XDG_DATA_HOME": ""}, {"XDG_DATA_HOME": "rel"}]
    )
    def test_without_one(self, environment):
        """
        Where it is not set, empty or relative, it is below the home.
        """
        expected = Path.home() / ".local/share/thim/thim.db"

        assert expected == default_location(environment)
