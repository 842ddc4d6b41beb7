"""TLS with a browser's hello: what utls says differently from the standard library.

Its contexts and objects stand in for those of ``ssl``, so the pump is the same. Three
things are not: errors have no ``reason``; a chain is made of objects; and as long as
verification has not begun, every failure is reported as one of verification, with a code
that means "not done", so the true reason is read from what the peer sent.
"""

import ssl
from typing import Any, Final

from probe.net.tls import CertificateError, HandshakeError, TlsStream
from probe.wire.clienthello import classify_answer

_NOT_VERIFIED: Final = 65
"""BoringSSL's X509_V_ERR_INVALID_CALL, which a connection starts with. In OpenSSL the
number is another's, but BoringSSL never verifies to it."""

_MAX_HEARD_BYTES: Final = 4096
"""Of the peer's first bytes so many are kept: an alert is among them or it was encrypted."""


class BrowserTlsStream(TlsStream):
    """A `TlsStream` for a context of a browser's profile."""

    _heard = b""

    def _take(self, data: bytes) -> None:
        self._heard += data[: _MAX_HEARD_BYTES - len(self._heard)]
        super()._take(data)

    def _rejected(self, error: ssl.SSLCertVerificationError) -> CertificateError | HandshakeError:
        if error.verify_code != _NOT_VERIFIED:
            return CertificateError(error.verify_code, error.verify_message)
        return HandshakeError(self._said() or "UNKNOWN")

    def _reason(self, error: ssl.SSLError) -> str:
        # "...: error:1000008b:SSL routines:OPENSSL_internal:DECRYPTION_FAILED_OR_BAD_RECORD_MAC"
        return self._said() or str(error.args[-1]).rpartition(":")[2].strip() or "UNKNOWN"

    def _said(self) -> str | None:
        """Return what the peer answered the hello with, if that is no answer to a hello."""
        answer = classify_answer(self._heard)
        if answer.alert_name is not None:
            return f"ALERT_{answer.alert_name.upper()}"
        return "WRONG_VERSION_NUMBER" if answer.kind in ("http", "other") else None

    def presented_chain(self) -> tuple[bytes, ...]:
        """Return the certificates the peer sent, leaf first, as DER; also after failure."""
        library: Any = self._ssl
        return tuple(one.public_bytes(one.ENCODING_DER) for one in library.get_unverified_chain())
