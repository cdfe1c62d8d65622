from importlib import metadata


def test_version(thim):
    """
    `--version` prints the installed version.
    """
    run = thim("--version")

    assert (0, metadata.version("thim") + "\n") == (run.code, run.text)


def test_help(thim):
    """
    Without a command the commands are listed.
    """
    run = thim("--help")

    assert 0 == run.code
    for command in ("serve", "collateral", "db", "config"):
        assert command in run.text
