"""TLS over any byte stream: our own memory-BIO pump.

trio.SSLStream hides what we are here to see: the length of the first flight,
when bytes moved, and the chain that was presented when verification failed.
"""

import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import certifi

from probe.model.observation import HelloSplit
from probe.model.step import NO_TRUST, PUBLIC_TRUST, TlsProfile
from probe.net.api import ByteStream
from probe.net.browser_hello import browser_context, is_browser
from probe.wire.hello_split import split_hello


class CertificateError(Exception):
    """Verification failed. ``code`` is OpenSSL's X.509 verify code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class HandshakeError(Exception):
    """The peer's bytes are not a TLS handshake we accept (alert, other protocol)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TrustError(ValueError):
    """A trust anchor of the target list is not a certificate."""


class TrustStores:
    """TLS client configurations by (trust key, ALPN, profile), each built once.

    Loading a full bundle costs about 21 ms, so contexts are shared.
    """

    def __init__(self, anchors: Mapping[str, Sequence[str]] | None = None) -> None:
        """Args: PEM certificates by trust key; ``public`` and ``none`` are built in."""
        self._anchors = dict(anchors or {})
        self._contexts: dict[tuple[str, tuple[str, ...], TlsProfile], ssl.SSLContext] = {}

    def context(
        self, trust: str, alpn: tuple[str, ...], profile: TlsProfile = "default"
    ) -> ssl.SSLContext:
        """Return the shared context.

        Profile ``tls12`` offers nothing newer: its certificates travel in plain text.
        A browser's is for a `BrowserTlsStream`.

        Raises:
            TrustError: a trust anchor does not parse.
            MissingExtraError: a browser's profile without its library.
        """
        key = (trust, alpn, profile)
        if key not in self._contexts:
            try:
                self._contexts[key] = self._build(trust, alpn, profile)
            except (ssl.SSLError, ValueError) as error:
                raise TrustError(f"trust anchors of {trust!r}: {error}") from None
        return self._contexts[key]

    def pem_of(self, trust: str) -> str:
        """Return the anchors of a trust key (not `NO_TRUST`) as PEM, one after the other."""
        return certifi.contents() if trust == PUBLIC_TRUST else "\n".join(self._anchors[trust])

    def has(self, trust: str) -> bool:
        """Tell whether a list or service brought anchors of its own under this key."""
        return trust in self._anchors

    def _build(self, trust: str, alpn: tuple[str, ...], profile: TlsProfile) -> ssl.SSLContext:
        if is_browser(profile):
            context = browser_context(profile, alpn)
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if alpn:
                context.set_alpn_protocols(list(alpn))
        if profile == "tls12":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        if trust == NO_TRUST:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        # Explicit, because 3.13 adds STRICT by default and would call a leaf
        # without an authority key id bad: same certificate, other verdict.
        context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
        if trust == PUBLIC_TRUST:
            context.load_verify_locations(cafile=certifi.where())
        else:
            context.load_verify_locations(cadata="\n".join(self._anchors[trust]))
        return context


class TlsStream:
    """A TLS client over a byte stream. Call `handshake` before anything else."""

    def __init__(
        self,
        stream: ByteStream,
        context: ssl.SSLContext,
        server_name: str,
        split: HelloSplit | None = None,
    ) -> None:
        """Args: ``split`` cuts every hello; for two packets the stream sends at once."""
        self._stream = stream
        self._split = split
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(
            self._incoming, self._outgoing, server_side=False, server_hostname=server_name
        )
        self.first_flight_bytes: int | None = None

    async def handshake(self) -> None:
        """Handshake and verify.

        Raises:
            CertificateError, HandshakeError, EOFError, OSError.
        """
        while True:
            try:
                self._ssl.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLCertVerificationError as error:
                # The alert an ordinary client would send. The peer may be gone
                # by now, and the finding is the certificate.
                with suppress(OSError):
                    await self._flush()
                raise self._rejected(error) from None
            except ssl.SSLEOFError:
                raise EOFError from None
            except ssl.SSLError as error:
                raise HandshakeError(self._reason(error)) from None
            else:
                await self._flush()
                return

    def _rejected(self, error: ssl.SSLCertVerificationError) -> CertificateError | HandshakeError:
        """Tell what a library means that says it cannot verify."""
        return CertificateError(error.verify_code, error.verify_message)

    def _reason(self, error: ssl.SSLError) -> str:
        """Return the library's word for an error."""
        return error.reason or "UNKNOWN"

    async def send_all(self, data: bytes) -> None:
        """Encrypt and send; raises OSError."""
        self._ssl.write(data)
        await self._flush()

    async def receive_some(self) -> bytes:
        """Receive decrypted bytes, ``b""`` at the end.

        An end of file without close_notify is an end too: many servers do that.

        Raises:
            HandshakeError: for a broken record; OSError.
        """
        while True:
            try:
                return self._ssl.read(65536)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:
                raise HandshakeError(self._reason(error)) from None

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if not data:
            return
        # Every flight: after a HelloRetryRequest there is a second hello with the name.
        # One after another, without waiting: on a socket with TCP_NODELAY and an open
        # window each is a packet. (Lost ones may be sent again as one.)
        writes = split_hello(data, self._split)
        if self.first_flight_bytes is None:
            self.first_flight_bytes = sum(map(len, writes))
        for write in writes:
            await self._stream.send_all(write)

    async def _fill(self) -> None:
        data = await self._stream.receive_some()
        if data:
            self._take(data)
        else:
            self._incoming.write_eof()

    def _take(self, data: bytes) -> None:
        self._incoming.write(data)

    def presented_chain(self) -> tuple[bytes, ...]:
        """Return the certificates the peer sent, leaf first, as DER; also after failure.

        Public from Python 3.13; before that only the private object has it.
        """
        public: Any = getattr(self._ssl, "get_unverified_chain", None)
        if public is not None:
            return tuple(public() or ())
        private: Any = self._ssl._sslobj  # type: ignore[attr-defined] # noqa: SLF001 - no public way before 3.13
        chain = private.get_unverified_chain() or ()
        return tuple(ssl.PEM_cert_to_DER_cert(cert.public_bytes()) for cert in chain)

    def version(self) -> str | None:
        """Return the negotiated version in OONI's spelling, such as ``TLSv1.3``."""
        return self._ssl.version()

    def cipher(self) -> str | None:
        """Return the negotiated cipher suite's name."""
        cipher = self._ssl.cipher()
        return cipher[0] if cipher else None

    def alpn(self) -> str | None:
        """Return the negotiated application protocol."""
        return self._ssl.selected_alpn_protocol()
