"""The connection options of all commands, and the client that they configure."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from aios3get import ANONYMOUS, RetryPolicy, S3Client, Timeouts

__all__ = ["connection_options", "make_client"]

T = TypeVar("T")

_seconds = click.FloatRange(0, min_open=True)

# By the parameter names of click.
_OPTIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "profile": click.option("--profile", metavar="NAME", help="Profile of the shared files."),
    "region": click.option("--region", metavar="REGION", help="AWS region, as eu-central-1."),
    "endpoint_url": click.option(
        "--endpoint-url", metavar="URL", help="Server to use instead of AWS."
    ),
    "addressing_style": click.option(
        "--addressing-style",
        type=click.Choice(["auto", "path", "virtual"]),
        help="Where the bucket's name stands in the URL.",
    ),
    "no_sign_request": click.option(
        "--no-sign-request", is_flag=True, help="Send requests unsigned."
    ),
    "request_payer": click.option(
        "--request-payer", is_flag=True, help="Accept to pay for reading."
    ),
    "use_fips": click.option(
        "--fips/--no-fips", "use_fips", default=None, help="Use FIPS endpoints."
    ),
    "use_dualstack": click.option(
        "--dualstack/--no-dualstack",
        "use_dualstack",
        default=None,
        help="Use endpoints that have IPv6 too.",
    ),
    "ca_bundle": click.option(
        "--ca-bundle",
        type=click.Path(exists=True),
        metavar="PATH",
        help="Certificates to trust instead of the default ones.",
    ),
    "no_verify_tls": click.option("--no-verify-tls", is_flag=True, help="Accept any certificate."),
    "proxy": click.option("--proxy", metavar="URL", help="HTTP proxy for all requests."),
    "connect_timeout": click.option(
        "--connect-timeout", type=_seconds, metavar="SECONDS", help="Longest time to connect."
    ),
    "idle_timeout": click.option(
        "--idle-timeout", type=_seconds, metavar="SECONDS", help="Longest time without a byte."
    ),
    "attempts": click.option(
        "--attempts",
        type=click.IntRange(1),
        metavar="N",
        help="Requests in a row without progress.",
    ),
}


def connection_options(function: Callable[..., T]) -> Callable[..., T]:
    """Add the options to a command, whose function receives them as ``connection``."""

    @functools.wraps(function)
    def wrapper(**arguments: Any) -> T:
        connection = {name: arguments.pop(name) for name in _OPTIONS}
        return function(connection=connection, **arguments)

    command = wrapper
    for option in reversed(list(_OPTIONS.values())):
        command = option(command)
    return command


def make_client(connection: Mapping[str, Any]) -> S3Client:
    """Create the client for the options; the environment provides the other settings.

    Raises:
        ConfigurationError: an option is invalid.
    """
    options = dict(connection)
    if options.pop("no_sign_request"):
        options["credentials"] = ANONYMOUS
    if options.pop("request_payer"):
        options["request_payer"] = "requester"
    ca_bundle = options.pop("ca_bundle")
    options["verify"] = False if options.pop("no_verify_tls") else ca_bundle or True
    limits = {
        name.removesuffix("_timeout"): options.pop(name)
        for name in ("connect_timeout", "idle_timeout")
    }
    options["timeouts"] = Timeouts(**{name: s for name, s in limits.items() if s is not None})
    attempts = options.pop("attempts")
    if attempts is not None:
        options["retry"] = RetryPolicy(attempts=attempts)
    return S3Client(**options)
