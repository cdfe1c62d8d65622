"""
What keeps a client from getting what it needs: looked for from its own host.

``settings`` and ``azure`` read what clients are told, ``devices`` looks at the
machine.  ``targets`` sorts whom to ask, ``reach`` goes as far as TLS, ``site``
asks what a client would ask (``questions``, ``amd``) and judges what comes
(``proof``, ``quirks``, ``remedies``); ``looks`` does all at once.  Each returns
findings (what, where, cause, mend) and facts; ``hiding`` takes out what no
ticket must hold.
"""
