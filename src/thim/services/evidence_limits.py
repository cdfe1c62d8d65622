"""
What an evidence pack cannot prove, and how anybody checks one by hand.
"""

from __future__ import annotations

from typing import Final


#: In short, as it is printed; ``docs/audit.md`` has it in full.
CANNOT_PROVE: Final = (
    (
        "that the events are all: whoever has the store could have written "
        "the whole chain anew before; compare its head with earlier packs"
    ),
    (
        "that no other node decided about evidence: these are the decision "
        "records of the node that wrote this"
    ),
    "that the service's clock was right",
    (
        "that a request was really answered so: what is here is what the "
        "store had to answer with"
    ),
    (
        "that no records of decisions are missing: they are dropped when they "
        "are old, and refusals sooner"
    ),
)
HOW_TO_CHECK: Final = """\
This is an evidence pack of thim, format 1.  `thim audit verify FILE` checks all
of it.  Without thim:

1. Every file is the one that was packed:

   sha256sum --check --quiet SHA256SUMS

2. Who signed that list (KEY.pem is the signer's public key, as you kept it, or
   the file of signing-keys/ that signing-keys.jsonl names for the key ID in
   the header):

   cut -d. -f1,2 SHA256SUMS.jws | tr -d '\\n' > signed
   cut -d. -f3 SHA256SUMS.jws | tr -- '-_' '+/' | sed 's/$/==/' \\
     | openssl base64 -d -A > signature
   openssl dgst -sha256 -verify KEY.pem -signature signature signed

   The second part of SHA256SUMS.jws, base64url, has the digest of SHA256SUMS.

3. The chain of events (events.jsonl): of an event that is shown the content is
   the SHA-256 of its salt, a blank and its text; the digest is the SHA-256 of
   the digest before, a blank and the content; all in hexadecimal digits:

   printf '%s %s' "$salt" "$text" | sha256sum
   printf '%s %s' "$before" "$content" | sha256sum

   The first "before" and the last digest stand in manifest.json.

4. A vendor's document (documents/DIGEST) and its chain (chains/DIGEST.pem, the
   signer first) are as they came.  That its signer's certificate leads to the
   vendor's root, which you have from the vendor:

   openssl verify -no_check_time -trusted ROOT.pem -untrusted CHAIN.pem \\
     CHAIN.pem
"""
