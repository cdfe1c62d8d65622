"""
Whoever visits the console without JavaScript: cookies, forms, and no more.
"""

from __future__ import annotations

import dataclasses
import html
import re
import urllib.parse

from tests.serving import Got, Served


_FIELD = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


@dataclasses.dataclass(slots=True)
class Visitor:
    """
    A browser of sorts; *cookie* is what it was last told to keep.
    """

    served: Served
    cookie: str = ""

    def get(self, path: str) -> Got:
        """
        Load a page.
        """
        return self.served.get(path, self._headers())

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Got:
        """
        Send a form as it is.
        """
        got = self.served.get(
            path,
            {
                "Content-Type": "application/x-www-form-urlencoded",
                **self._headers(),
                **{name.replace("_", "-"): v for name, v in headers.items()},
            },
            method="POST",
            body=urllib.parse.urlencode(fields).encode("ascii"),
        )
        for text in got.all("set-cookie"):
            self.cookie = text.partition(";")[0]
        return got

    def log_in(self, token: str) -> Got:
        """
        Log in.
        """
        return self.post("/console/login", {"token": token, "next": ""})

    def send(self, page: str, path: str, fields: dict[str, str]) -> Got:
        """
        Send a form that is on a *page*, with what is hidden in it.
        """
        hidden = dict(_FIELD.findall(self.get(page).body.decode()))
        fields = {"csrf": html.unescape(hidden["csrf"]), **fields}
        return self.post(path, fields)

    def _headers(self) -> dict[str, str]:
        return {"Cookie": self.cookie} if self.cookie else {}


def read_text(got: Got) -> str:
    """
    Return what a page says, without its tags.
    """
    text = re.sub(r"<[^>]+>", " ", got.body.decode())
    return " ".join(html.unescape(text).split())


def find_csrf(visitor: Visitor, page: str = "/console/tenants") -> str:
    """
    Return what the forms of a session have in them.
    """
    text = visitor.get(page).body.decode()
    return html.unescape(re.findall(r'name="csrf" value="([^"]+)"', text)[0])
