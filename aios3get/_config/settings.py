"""The settings of a client: from arguments, else the environment, else the profile, else defaults.

The names are those of the AWS SDKs: https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypedDict

from aios3get._http.proxies import DIRECT, Proxies, is_http_url
from aios3get._protocol.endpoints.endpoint import AddressingStyle, EndpointSettings
from aios3get.errors import ConfigurationError

if TYPE_CHECKING:
    from aios3get._protocol.shared_config import Profile, SharedConfig

__all__ = [
    "USE_FIPS",
    "ExplicitSettings",
    "ResolvedSettings",
    "Setting",
    "check_explicit",
    "configured_endpoint_url",
    "parse_boolean",
    "parse_legacy",
    "resolve_settings",
]

ChecksumValidation = Literal["when_supported", "when_required"]


class ExplicitSettings(TypedDict, total=False):
    """The caller's arguments; environment and profile replace those that are None or left out."""

    region: str | None
    endpoint_url: str | None
    addressing_style: AddressingStyle | None
    use_fips: bool | None
    use_dualstack: bool | None
    use_accelerate: bool | None
    use_arn_region: bool | None
    use_global_endpoint: bool | None
    disable_access_points: bool | None
    disable_multi_region_access_points: bool | None
    disable_s3_express_session_auth: bool | None
    response_checksum_validation: ChecksumValidation | None


class ResolvedSettings(NamedTuple):
    """The settings that follow from arguments, environment and profile.

    Attributes:
        endpoint: the input of endpoint resolution.
        response_checksum_validation: whether checksums are requested and verified.
        ca_bundle: a file of certificates to trust instead of the default ones, or None.
        proxies: select the proxy of a request.
    """

    endpoint: EndpointSettings = EndpointSettings()
    response_checksum_validation: ChecksumValidation = "when_supported"
    ca_bundle: str | None = None
    proxies: Proxies = DIRECT


def resolve_settings(
    explicit: ExplicitSettings,
    environ: Mapping[str, str],
    shared: "SharedConfig",
    profile: str | None = None,
) -> ResolvedSettings:
    """Resolve each setting: argument, else environment, else profile, else the default.

    Raises:
        ConfigurationError: a value is invalid (the message names its source), or the profile does
            not exist.
    """
    active = shared.profile(profile)
    values: dict[str, Any] = {}
    for name, setting in _SETTINGS.items():
        value = setting.resolve(name, explicit.get(name), environ, active)
        if value is not None:
            values[name] = value
    endpoint_url = explicit.get("endpoint_url")
    values["endpoint_url"] = (
        configured_endpoint_url("s3", environ, shared, active)
        if endpoint_url is None
        else _parse_text(_endpoint_url, endpoint_url, "endpoint_url")
    )
    if values["endpoint_url"] is not None:
        # As in botocore, only arguments combine these with an endpoint_url; the environment's and
        # the profile's values are ignored.
        for name in ("use_fips", "use_dualstack"):
            if explicit.get(name) is None:
                values.pop(name, None)
    checksums = values.pop("response_checksum_validation", "when_supported")
    return ResolvedSettings(
        endpoint=EndpointSettings(**values),
        response_checksum_validation=checksums,
        ca_bundle=environ.get("AWS_CA_BUNDLE") or active.get("ca_bundle"),
        proxies=Proxies.from_environment(environ),
    )


def check_explicit(explicit: ExplicitSettings) -> None:
    """Check the arguments on their own, without environment and profile.

    Raises:
        ConfigurationError: a value is invalid.
    """
    for name, value in explicit.items():
        if value is None:
            continue
        if name == "endpoint_url":
            _parse_text(_endpoint_url, value, name)
        else:
            _SETTINGS[name].check(name, value)


def parse_boolean(text: str) -> bool:
    match text.lower():
        case "true":
            return True
        case "false":
            return False
        case _:
            raise ValueError("write true or false")


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"write {' or '.join(words)}")
        return text.lower()

    return parse


def parse_legacy(text: str) -> bool:
    return _one_of("regional", "legacy")(text) == "legacy"


# Less strict than AWS's region names, because other servers use other names.
_region_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}").fullmatch


def _region(text: str) -> str:
    if not _region_name(text):
        raise ValueError("write a region's name, such as eu-central-1")
    return text


def _endpoint_url(text: str) -> str:
    if not is_http_url(text):
        raise ValueError("write a URL, such as https://s3.example.com")
    return text


def _parse_text(parse: Callable[[str], Any], text: object, source: str) -> Any:
    if not isinstance(text, str):
        raise ConfigurationError(f"{source} is {text!r}; pass text")
    try:
        return parse(text)
    except ValueError as error:
        # A URL may contain a password.
        shown = "not a usable URL" if "@" in text else repr(text)
        raise ConfigurationError(f"{source} is {shown}; {error}") from None


class Setting(NamedTuple):
    """The names of one setting in the environment and the profile; the first one set applies."""

    parse: Callable[[str], Any]
    environment: tuple[str, ...] = ()
    profile: tuple[tuple[str, ...], ...] = ()

    def resolve(
        self, name: str, argument: object, environ: Mapping[str, str], profile: "Profile"
    ) -> Any:
        if argument is not None:
            return self.check(name, argument)
        for variable in self.environment:
            if text := environ.get(variable, "").strip():
                return _parse_text(self.parse, text, f"environment variable {variable}")
        for path in self.profile:
            if setting := profile.get(*path):
                return _parse_text(self.parse, setting, _where(path, profile))
        return None

    def check(self, name: str, argument: object) -> Any:
        if self.parse not in (parse_boolean, parse_legacy):
            return _parse_text(self.parse, argument, name)
        if not isinstance(argument, bool):
            raise ConfigurationError(f"{name} is {argument!r}; pass True or False")
        return argument


def _where(path: tuple[str, ...], profile: "Profile") -> str:
    return f"{' → '.join(path)} of the profile {profile.name!r}"


USE_FIPS: Final = Setting(parse_boolean, ("AWS_USE_FIPS_ENDPOINT",), (("use_fips_endpoint",),))

# Names and order as in botocore's configprovider.py, plus AWS_REGION, which botocore does not read,
# and the unnested names that the SDK reference documents for every SDK.
_SETTINGS: Final[Mapping[str, Setting]] = {
    "region": Setting(_region, ("AWS_REGION", "AWS_DEFAULT_REGION"), (("region",),)),
    "addressing_style": Setting(
        _one_of("auto", "path", "virtual"), (), (("s3", "addressing_style"),)
    ),
    "use_fips": USE_FIPS,
    "use_dualstack": Setting(
        parse_boolean,
        ("AWS_USE_DUALSTACK_ENDPOINT",),
        (("s3", "use_dualstack_endpoint"), ("use_dualstack_endpoint",)),
    ),
    "use_accelerate": Setting(parse_boolean, (), (("s3", "use_accelerate_endpoint"),)),
    "use_arn_region": Setting(
        parse_boolean,
        ("AWS_S3_USE_ARN_REGION",),
        (("s3_use_arn_region",), ("s3", "use_arn_region")),
    ),
    "use_global_endpoint": Setting(
        parse_legacy,
        ("AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",),
        (("s3_us_east_1_regional_endpoint",), ("s3", "us_east_1_regional_endpoint")),
    ),
    "disable_access_points": Setting(parse_boolean),
    "disable_multi_region_access_points": Setting(
        parse_boolean,
        ("AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS",),
        (
            ("s3_disable_multiregion_access_points",),
            ("s3", "s3_disable_multiregion_access_points"),
        ),
    ),
    "disable_s3_express_session_auth": Setting(
        parse_boolean,
        ("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", "AWS_DISABLE_S3_EXPRESS_SESSION_AUTH"),
        (("s3_disable_express_session_auth",), ("s3", "disable_s3_express_session_auth")),
    ),
    "response_checksum_validation": Setting(
        _one_of("when_supported", "when_required"),
        ("AWS_RESPONSE_CHECKSUM_VALIDATION",),
        (("response_checksum_validation",),),
    ),
}

_IGNORE_ENDPOINT_URLS: Final = Setting(
    parse_boolean, ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",), (("ignore_configured_endpoint_urls",),)
)


def configured_endpoint_url(
    service: str, environ: Mapping[str, str], shared: "SharedConfig", profile: "Profile"
) -> str | None:
    """Return the endpoint URL that environment or profile set for a service, or for all services.

    Args:
        service: the service's id in the AWS SDKs, such as ``"s3"`` or ``"sso-oidc"``.
        environ: the environment variables.
        shared: the shared files.
        profile: the active profile.

    Raises:
        ConfigurationError: the value is not a URL, or the ``services`` section does not exist.
    """
    if _IGNORE_ENDPOINT_URLS.resolve("", None, environ, profile):
        return None
    # The environment's general URL takes precedence over the profile's URL for the service:
    # https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    key = service.replace("-", "_")
    general = Setting(
        _endpoint_url, (f"AWS_ENDPOINT_URL_{key.upper()}", "AWS_ENDPOINT_URL"), (("endpoint_url",),)
    )
    if not any(environ.get(variable, "").strip() for variable in general.environment):
        specific = _services_endpoint_url(key, shared, profile)
        if specific is not None:
            return specific
    url: str | None = general.resolve("", None, environ, profile)
    return url


def _services_endpoint_url(key: str, shared: "SharedConfig", profile: "Profile") -> str | None:
    name = profile.get("services")
    if name is None:
        return None
    section = shared.services.get(name)
    if section is None:
        raise ConfigurationError(
            f"services of the profile {profile.name!r} is {name!r}, but there is no"
            f" [services {name}] section; write one with {key} = and an indented endpoint_url"
        )
    from aios3get._protocol.shared_config import Profile  # noqa: PLC0415 - imported with the files

    text = Profile(name, config=section).get(key, "endpoint_url")
    if text is None:
        return None
    return str(_parse_text(_endpoint_url, text, f"{key} → endpoint_url of [services {name}]"))
