"""What a test of somebody else's program holds in its hands: servers, and a censor before them."""

import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from censorlab.engines import check_chunks
from censorlab.messages import Server, ServerNames
from censorlab.one_address import check_one_address
from censorlab.process import LabProcess
from censorlab.rulebook import rule_named
from censorlab.topology import RESOLVER_NAME

if TYPE_CHECKING:
    from censorlab.rules import Rule


class NotAHostNameError(ValueError):
    """A server is asked for under something else than host names."""


class Censor:
    """Drives a lab in another process; every call returns once its effect is in force.

    The calls are synchronous and take milliseconds, so they may stand in a test of
    any event loop, and one lock makes them safe from any thread. Connections keep
    the rules under which they were opened.
    """

    def __init__(self, lab: LabProcess, ca_file: Path) -> None:
        """Take over a running lab; its authority is written to ``ca_file``."""
        ca_file.write_text(lab.targets.trust_anchors[0], encoding="ascii")
        self.ca_file: Final = ca_file
        """The authority of every served certificate, as PEM."""
        self.dns: Final = (lab.ready.zone[RESOLVER_NAME][0], lab.ready.ports["lab-udp"])
        """Address and UDP port of a resolver behind the censor that knows the served names."""
        self.proxy_url: Final = lab.proxy_url
        """``socks5://`` URL of a proxy outside the censor, for the served addresses and names."""
        self.one_address: Final = lab.ready.one_address
        """Every server is at 127.0.0.1 with a port of its own, and no SYN can be dropped."""
        self._lab = lab
        self._lock = threading.Lock()
        self._rules: tuple[Rule, ...] = ()
        self._servers: tuple[Server, ...] = ()

    def ssl_context(self) -> ssl.SSLContext:
        """Return a new client context that trusts the lab's authority and no other."""
        return ssl.create_default_context(cafile=self.ca_file)

    def serve(self, *names: str) -> Server:
        """Start a web server behind the censor, with a certificate for each name.

        It speaks HTTP/1.1 in TLS at one port and without TLS at another. Every path
        is an HTML page. The server has an address of its own (where there is but
        one, ports of its own), to which the resolver and the proxy resolve its names.

        Raises:
            NotAHostNameError: for no name, or one that is no lower-case host name
                with a dot in it.
            LabFailedError: for a name that is served already.
        """
        try:
            msgspec.convert(names, ServerNames)
        except msgspec.ValidationError:
            raise NotAHostNameError(
                f"{names}: wants one or more host names, in lower case and with a dot"
            ) from None
        with self._lock:
            wanted = (*(server.names for server in self._servers), names)
            self._servers = self._lab.add_servers(wanted)
            return self._servers[-1]

    def add(self, rule: str, /, **parameters: object) -> None:
        """Put one more rule of `censorlab.rules` in force, by its name there (``sni_rst``…).

        Raises:
            UnknownRuleError: for another name; the message lists the known ones.
            WrongParameterError: for parameters that do not fit; the message lists
                those of the rule.
            NeedsPacketsError: for a rule that loopback cannot express, here or
                anywhere; the message says why.
        """
        new = rule_named(rule, parameters)
        check_chunks((new,))
        if self.one_address:
            check_one_address((new,))
        with self._lock:
            self._lab.apply((*self._rules, new))
            self._rules = (*self._rules, new)

    def clear(self) -> None:
        """Lift every rule; the servers stay."""
        with self._lock:
            self._lab.apply(())
            self._rules = ()

    def reset(self) -> None:
        """Lift every rule and close every server with its connections."""
        with self._lock:
            if self._rules:
                self._lab.apply(())
            if self._servers:
                self._lab.add_servers(())
            self._rules, self._servers = (), ()
