"""TLS without a certificate, so that the demo needs neither a key file nor a library to make one.

Only for the demo's two processes on the loopback: it encrypts and proves nobody's identity.
"""

from __future__ import annotations

import ssl


def context(protocol: int) -> ssl.SSLContext:
    """Return a context for `ssl.PROTOCOL_TLS_SERVER` or `ssl.PROTOCOL_TLS_CLIENT`.

    Raises:
        ssl.SSLError: this machine's OpenSSL was built without anonymous ciphers.
    """
    made = ssl.SSLContext(protocol)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    # TLS 1.3 has no anonymous ciphers.
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")
    return made
