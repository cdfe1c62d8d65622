"""
What keeps a client from getting what it needs: looked for from its own host.

``settings`` and ``azure`` read what clients are told; ``reach`` goes as far
as TLS, ``site`` asks what a client would ask and verifies what comes;
``devices`` looks at the machine.  Each returns findings (what, where, cause,
mend) and facts; ``hiding`` takes out what no ticket must hold.
"""
