import random
from collections import Counter
from functools import lru_cache
from itertools import product
from math import prod
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.args import ClientArgsCreator
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import BotoCoreError, EndpointProviderError, InvalidRegionError
from botocore.handlers import (
    VALID_BUCKET,
    VALID_S3_ARN,
    customize_endpoint_resolver_builtins,
)
from botocore.utils import validate_region_name

from aios3get._protocol.endpoints.resolver import (
    AddressingStyle,
    Endpoint,
    EndpointSettings,
    resolve_endpoint,
    resolve_session_endpoint,
)
from aios3get.errors import ConfigurationError, ParameterError

REGIONS = (
    *("us-east-1", "us-west-2", "eu-central-1", "ap-southeast-7", "mx-central-1"),
    *("aws-global", "s3-external-1", "us-gov-west-1", "aws-us-gov-global"),
    *("cn-north-1", "aws-cn-global", "eusc-de-east-1", "us-iso-east-1", "us-isob-east-1"),
    *("eu-isoe-west-1", "us-isof-south-1", "xx-nowhere-9", "auto", "us_east_1", "a.b", "-a"),
)
OUTPOST = "01ac5d28a6a232904"
OUTPOST_REST = "e8xz5w8ijx1qzlbp3i3k"
NAMES = (
    *("amzn-s3-demo-bucket", "examplebucket", "3bucket", "a" * 63, "ab", "abc"),
    *("my.dotted.bucket", "My_Legacy.Bucket", "UPPER", "under_score", "192.168.5.4", "a..b"),
    *("-lead", "trail-", "a" * 64, "a.-b", "tenant:bucket", "s3alias"),
    "my-access-point-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias",
    "my-olap-aabbccddeeff00112233445566778899--ol-s3",
)
DIRECTORIES = (
    *("demo--usw2-az1--x-s3", "demo--usgw1-az1--x-s3", "demo--usw2-lax1-az1--x-s3"),
    *("demo--apne1-tpe1-az1--x-s3", "demo--use1-test-zone-az12--x-s3", "demo--az1--x-s3"),
    *("demo--usw2-az1--xa-s3", "demo--usw2-lax1-az1--xa-s3", "demo--az1--xa-s3"),
    # zones of no known region, for every region
    *("demo--xxw9-az1--x-s3", "demo--xxgw9-az1--x-s3", "demo--xxw9-aaa1-az1--x-s3"),
    *("demo--xxne9-aaa1-az1--x-s3", "demo--xxn9-test-zone-az12--x-s3", "demo--xxw9-az1--xa-s3"),
    *(
        "UP--usw2-az1--x-s3",
        "my.demo--usw2-az1--x-s3",
        "demo--xa-s3--x-s3",
        "--x-s3",
        "usw2-az1--x-s3",
    ),
)
ALIASES = (
    f"my-access-po-o{OUTPOST}{OUTPOST_REST}use10--op-s3",
    f"my-access-po-e{OUTPOST}{OUTPOST_REST}use10--op-s3",
    f"my-access-po-o{OUTPOST}{OUTPOST_REST}beta0--op-s3",
    f"my-access-po-e{OUTPOST}{OUTPOST_REST}beta0--op-s3",
    f"my-access-po-x{OUTPOST}{OUTPOST_REST}use10--op-s3",
    f"my-access-po-o-{OUTPOST[1:]}{OUTPOST_REST}use10--op-s3",
    f"My-access-po-o{OUTPOST}{OUTPOST_REST}use10--op-s3",
    f"my-long-access-point-o{OUTPOST}{OUTPOST_REST}use10--op-s3",
    "short--op-s3",
)
ARNS = (
    "arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap",
    "arn:aws:s3:us-east-1:123456789012:accesspoint:my-ap",
    "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/my-ap",
    "arn:aws-us-gov:s3:us-gov-west-1:123456789012:accesspoint/my-ap",
    "arn:aws-iso:s3:us-iso-east-1:123456789012:accesspoint/my-ap",
    "arn:aws:s3:us-west-2::accesspoint/my-ap",
    "arn:aws:s3:us-west-2:123456789012:accesspoint",
    "arn:aws:s3:us-west-2:123456789012:accesspoint/",
    "arn:aws:s3:us-west-2:123456789012:accesspoint/my_ap",
    "arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap/object",
    "arn:aws:s3:us_west_2:123456789012:accesspoint/my-ap",
    "arn:aws:sqs:us-west-2:123456789012:accesspoint/my-ap",
    "arn:aws:s3:::amzn-s3-demo-bucket",
    "arn:aws:s3:::",
    "arn:aws:s3:us-west-2",
    "arn::s3:us-west-2:123456789012:accesspoint/my-ap",
    "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/my-olap",
    "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint:my-olap",
    "arn:aws:s3-object-lambda::123456789012:accesspoint/my-olap",
    "arn:aws:s3-object-lambda:us-west-2:123456789012:bucket/my-olap",
    "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/my-olap/more",
    f"arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-{OUTPOST}/accesspoint/my-ap",
    f"arn:aws:s3-outposts:us-east-1:123456789012:outpost:op-{OUTPOST}:accesspoint:my-ap",
    f"arn:aws-us-gov:s3-outposts:us-gov-west-1:123456789012:outpost/op-{OUTPOST}/accesspoint/ap",
    f"arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-{OUTPOST}/bucket/my-bucket",
    f"arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-{OUTPOST}",
    f"arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-{OUTPOST}/accesspoint/my-ap/more",
    "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op_1/accesspoint/my-ap",
    "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
    "arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap",
    "arn:aws-cn:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
    "arn:aws:s3::123456789012:accesspoint/my_mrap",
)
BUCKETS = NAMES + DIRECTORIES + ALIASES + ARNS
# The region of each zone above whose region is known.
ZONE_REGIONS = {"usw2": "us-west-2", "apne1": "ap-northeast-1", "use1": "us-east-1"}
ENDPOINTS = (
    *(
        "https://s3.example.com",
        "http://localhost:9000",
        "http://localhost:80/",
        "HTTPS://Host:443",
    ),
    *("https://proxy.example.com/base/path/", "http://proxy.example.com:8080/base"),
    *("http://127.0.0.1:9000", "https://10.0.0.7", "http://127.0.0.1:9000/base"),
    *("http://[::1]:9000", "https://[2001:db8::1]/base", "https://s3.us-west-2.amazonaws.com"),
    *("https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com",),
    *("https://s3-accelerate.amazonaws.com", "https://s3-external-1.amazonaws.com"),
)
STYLES = ("auto", "path", "virtual")
BOTH = (False, True)

_session = botocore.session.Session()
_session.set_credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
_loader = _session.get_component("data_loader")
_rules = EndpointProvider(
    _loader.load_service_model("s3", "endpoint-rule-set-1"), _loader.load_data("partitions")
).ruleset
_arguments = ClientArgsCreator(
    None, None, None, _loader, None, _session.get_component("config_store"), None
)


class Resolved(NamedTuple):
    url: str
    schemes: tuple[tuple[str, str, str], ...]


def _without_default_port(url: str) -> str:
    # botocore's rules put a bucket before an IPv6 address too, which urlsplit may refuse.
    scheme, _, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    default = ":443" if scheme == "https" else ":80"
    return f"{scheme}://{netloc.lower().removesuffix(default)}{(slash + path).removesuffix('/')}"


@lru_cache(4096)
def _client_builtins(settings: EndpointSettings) -> dict[str, Any]:
    """The parameters of the rules that botocore's client derives from its configuration."""
    variants = SimpleNamespace(
        resolver_uses_builtin_data=lambda: True,
        _resolve_endpoint_variant_config_var=lambda _: settings.use_fips,
        _resolve_use_dualstack_endpoint=lambda _: settings.use_dualstack,
    )
    config = {
        "addressing_style": settings.addressing_style,
        "use_accelerate_endpoint": settings.use_accelerate,
        "use_arn_region": settings.use_arn_region,
        "s3_disable_multiregion_access_points": settings.disable_multi_region_access_points,
    }
    builtins: dict[str, Any] = _arguments.compute_endpoint_resolver_builtin_defaults(
        region_name=settings.region,
        service_name="s3",
        s3_config=config,
        endpoint_bridge=variants,
        client_endpoint_url=settings.endpoint_url,
        legacy_endpoint_url=None,
        credentials=_session.get_credentials(),
        account_id_endpoint_mode="disabled",
        s3_disable_express_session_auth=None,
    )
    return builtins


def _rule_parameters(
    bucket: str, settings: EndpointSettings, *, session: bool = False
) -> dict[str, Any]:
    """The parameters that botocore's client passes to the rules for a GetObject."""
    builtins = dict(_client_builtins(settings))
    operation = SimpleNamespace(name="GetObject")
    customize_endpoint_resolver_builtins(builtins, operation, {"Bucket": bucket}, {})
    parameters = {
        name: builtins.get(parameter.builtin)
        for name, parameter in _rules.parameters.items()
        if parameter.builtin
    } | {
        "Bucket": bucket,
        "DisableAccessPoints": settings.disable_access_points,
        "DisableS3ExpressSessionAuth": session or settings.disable_s3_express_session_auth,
        # botocore's own setting for this is the configuration's only, with another default
        "UseGlobalEndpoint": settings.use_global_endpoint,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def theirs(bucket: str, settings: EndpointSettings, *, session: bool = False) -> Resolved | None:
    """botocore's endpoint; None if its client or the rules reject the arguments."""
    custom_name = settings.endpoint_url is not None and not bucket.startswith("arn:")
    if not (custom_name or VALID_BUCKET.search(bucket) or VALID_S3_ARN.search(bucket)):
        # botocore requires AWS's names everywhere; Ceph's "tenant:bucket" is not one.
        return None
    try:
        validate_region_name(settings.region)
        endpoint = _rules.evaluate(_rule_parameters(bucket, settings, session=session))
    except (EndpointProviderError, InvalidRegionError):
        return None
    schemes = tuple(
        (
            scheme["name"],
            scheme["signingName"],
            scheme.get("signingRegion") or ",".join(scheme["signingRegionSet"]),
        )
        for scheme in endpoint.properties["authSchemes"]
    )
    return Resolved(_without_default_port(endpoint.url), schemes)


def ours(bucket: str, settings: EndpointSettings, *, session: bool = False) -> Endpoint | None:
    resolve = resolve_session_endpoint if session else resolve_endpoint
    try:
        return resolve(bucket, settings)
    except (ConfigurationError, ParameterError):
        return None


def stricter(bucket: str, settings: EndpointSettings) -> bool:
    """Whether we reject what the rules accept: an ignored setting, or a host that cannot exist."""
    custom = settings.endpoint_url
    if bucket in ALIASES:
        return (
            settings.use_fips or settings.use_dualstack or settings.use_accelerate or bool(custom)
        )
    if bucket in DIRECTORIES and custom is None:
        zone = bucket.rsplit("--", 2)[-2]
        return ZONE_REGIONS.get(zone.partition("-")[0], settings.region) != settings.region
    if not bucket.startswith("arn:") or custom is None:
        return False
    return "::123456789012:accesspoint" in bucket or _is_address(custom)


def _is_address(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return ":" in host or host.replace(".", "").isdigit()


def compare(bucket: str, settings: EndpointSettings, *, session: bool = False) -> str:
    expected = theirs(bucket, settings, session=session)
    endpoint = ours(bucket, settings, session=session)
    message = f"{bucket!r}, {settings}: {expected} but {endpoint}"
    if endpoint is None:
        assert expected is None or stricter(bucket, settings), message
        return "both reject" if expected is None else "stricter"
    assert expected is not None, message
    if _is_address(settings.endpoint_url or "") and "." in bucket and endpoint.kind == "bucket":
        # The rules put a dotted name before an address for "virtual" over http.
        assert endpoint.host == urlsplit(settings.endpoint_url or "").netloc, message
        return "path at address"
    assert endpoint.url == expected.url, message
    # For Outposts the rules list SigV4A before SigV4, which we use because it needs no extra.
    scheme = expected.schemes[-1]
    assert (endpoint.auth, endpoint.signing_name, endpoint.signing_region) == scheme, message
    if len(expected.schemes) > 1:
        assert endpoint.kind == "outposts", message
        assert expected.schemes[0] == ("sigv4a", "s3-outposts", "*"), message
    return "same"


Switches = dict[str, tuple[Any, ...]]

EVERYTHING: Switches = {
    "region": REGIONS,
    "endpoint_url": (None, *ENDPOINTS),
    "addressing_style": STYLES,
    **{name: BOTH for name, kind in EndpointSettings.__annotations__.items() if kind is bool},
}
VARIANTS: Switches = dict.fromkeys(("use_fips", "use_dualstack", "use_accelerate"), BOTH)
FAMILIES: dict[str, tuple[tuple[str, ...], Switches]] = {
    "names": (NAMES, {"addressing_style": STYLES, **VARIANTS, "use_global_endpoint": BOTH}),
    "directories": (
        DIRECTORIES,
        {
            "addressing_style": ("auto", "path"),
            **VARIANTS,
            "disable_s3_express_session_auth": BOTH,
        },
    ),
    "aliases": (ALIASES, {"addressing_style": ("auto", "path"), **VARIANTS}),
    "arns": (
        ARNS,
        {
            **VARIANTS,
            "use_arn_region": BOTH,
            "disable_access_points": BOTH,
        },
    ),
    "arns in other ways": (
        ARNS,
        {
            "addressing_style": STYLES,
            "use_arn_region": BOTH,
            "disable_multi_region_access_points": BOTH,
        },
    ),
}
SAMPLES = 8_000


def settings_of(switches: Switches, **fixed: Any) -> list[EndpointSettings]:
    return [
        EndpointSettings(**dict(zip(switches, values, strict=True)), **fixed)
        for values in product(*switches.values())
    ]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_of_every_kind_of_bucket(family: str, region: str) -> None:
    buckets, switches = FAMILIES[family]
    for bucket, settings in product(buckets, settings_of(switches, region=region)):
        compare(bucket, settings)


@pytest.mark.parametrize("endpoint_url", ENDPOINTS)
@pytest.mark.parametrize(
    "switches",
    [
        {
            "region": ("us-east-1", "us-west-2", "aws-global"),
            "addressing_style": STYLES,
            "disable_s3_express_session_auth": BOTH,
        },
        {"region": ("us-west-2", "cn-north-1"), **VARIANTS},
    ],
    ids=["styles", "variants"],
)
def test_every_custom_endpoint(switches: Switches, endpoint_url: str) -> None:
    for bucket, settings in product(BUCKETS, settings_of(switches, endpoint_url=endpoint_url)):
        compare(bucket, settings)


@pytest.mark.parametrize("seed", range(4))
def test_random_combinations_of_all_settings(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(SAMPLES // 4):
        values = {name: draw.choice(values) for name, values in EVERYTHING.items()}
        compare(draw.choice(BUCKETS), EndpointSettings(**values))


@pytest.mark.parametrize("endpoint_url", [None, *ENDPOINTS])
def test_session_endpoints(endpoint_url: str | None) -> None:
    variants = VARIANTS if endpoint_url is None else {}
    switches: Switches = {"region": REGIONS[:9], "addressing_style": STYLES, **variants}
    outcomes: Counter[str] = Counter()
    for bucket, settings in product(DIRECTORIES, settings_of(switches)):
        there = settings._replace(endpoint_url=endpoint_url)
        outcomes[compare(bucket, there, session=True)] += 1
    assert outcomes["same"] > 0
    assert outcomes.keys() <= {"same", "both reject", "stricter"}
    assert endpoint_url is None or "stricter" not in outcomes


class SentToError(Exception):
    pass


def _client(settings: EndpointSettings) -> Any:
    """A botocore client that raises the URL of a request instead of sending it."""

    def stop(request: AWSPreparedRequest, **_: object) -> None:
        raise SentToError(request.url)

    config = Config(
        use_fips_endpoint=settings.use_fips,
        use_dualstack_endpoint=settings.use_dualstack,
        s3={
            "addressing_style": settings.addressing_style,
            "use_accelerate_endpoint": settings.use_accelerate,
        },
    )
    client = _session.create_client(
        "s3", region_name=settings.region, endpoint_url=settings.endpoint_url, config=config
    )
    client.meta.events.register("before-send.s3", stop)
    return client


def _sent_to(client: Any, bucket: str) -> str | None:
    """The URL of the client's request; None if botocore rejects the arguments."""
    try:
        client.get_object(Bucket=bucket, Key="k")
    except SentToError as sent:
        return _without_default_port(str(sent))
    except BotoCoreError:
        return None
    raise AssertionError("no request was sent")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("endpoint_url", [None, ENDPOINTS[0], ENDPOINTS[6], ENDPOINTS[-2]])
@pytest.mark.parametrize("variant", [None, *VARIANTS])
def test_settings_mean_the_same_to_a_whole_botocore_client(
    variant: str | None, endpoint_url: str | None, style: AddressingStyle
) -> None:
    variants: dict[str, Any] = {variant: True} if variant else {}
    settings = EndpointSettings("us-west-2", endpoint_url, style, **variants)
    client = _client(settings)
    for bucket in ("amzn-s3-demo-bucket", "UPPER", ARNS[0]):
        endpoint, sent = ours(bucket, settings), _sent_to(client, bucket)
        if endpoint is None:
            assert sent is None or stricter(bucket, settings)
        else:
            assert f"{endpoint.url}/k" == sent


def test_at_least_50_000_combinations_are_compared_and_most_are_accepted() -> None:
    sizes = {
        family: len(REGIONS) * len(buckets) * prod(map(len, switches.values()))
        for family, (buckets, switches) in FAMILIES.items()
    }
    assert sum(sizes.values()) >= 50_000
    for family, (buckets, switches) in FAMILIES.items():
        outcomes = Counter(
            compare(bucket, settings)
            for bucket, settings in product(buckets, settings_of(switches, region="us-west-2"))
        )
        assert outcomes["same"] >= 10, (family, outcomes)
