from thim.cli.tables import write_table


class TestWriteTable:
    def test_controls(self, capsys):
        """
        What others wrote cannot drive the terminal, nor begin a line.
        """
        write_table(("name", "reason"), [("acme", "\x1b[2Jgone\nroot  all")])

        assert [
            "name  reason",
            r"acme  \x1b[2Jgone\nroot  all",
        ] == capsys.readouterr().out.splitlines()
