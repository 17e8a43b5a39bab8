import copy
import dataclasses
import json
import pickle
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get import errors
from aios3get.errors import S3Error, ServiceError, ServiceErrorDetails

DETAILS = ServiceErrorDetails(
    status=403,
    code="InvalidObjectState",
    message="The operation is not valid for the object's storage class",
    request_id="4442587FB7D0A2F9",
    host_id="host",
    bucket="amzn-s3-demo-bucket",
    key="photos/2006/February/sample.jpg",
    headers=CIMultiDictProxy(CIMultiDict([("Server", "AmazonS3"), ("x-a", "1"), ("x-a", "2")])),
    storage_class="GLACIER",
    server_time=datetime(2026, 3, 1, tzinfo=UTC),
    fields=MappingProxyType({"Resource": "/sample.jpg"}),
)


def all_classes() -> list[type[S3Error]]:
    classes = [S3Error]
    for cls in classes:
        classes.extend(cls.__subclasses__())
    return [cls for cls in classes if cls.__module__ == errors.__name__]


def make(cls: type[S3Error]) -> S3Error:
    error = cls(DETAILS) if issubclass(cls, ServiceError) else cls("what happened")
    error.attempts = 3
    error.elapsed = 1.25
    error.bytes_received = 10
    error.bytes_expected = 20
    error.request_ids = ("A", "B")
    return error


def drawn(docstring: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(class, parent, builtin bases) of every name in the drawing."""
    parents: list[tuple[int, str]] = []
    in_list = False
    for line in docstring.split("::\n", 1)[1].splitlines():
        text = line.lstrip(" │")
        column = len(line) - len(text)
        if not text or not line.startswith("    "):
            continue
        marked = text[0] in "├└"
        in_list = bool(re.match(r"└── \w+,", text)) or (in_list and not marked)
        names = text.lstrip("├└─ ")
        column += 4 if marked else 0
        while parents and parents[-1][0] >= column:
            parents.pop()
        parent = parents[-1][1] if parents else ""
        if in_list:
            for name in names.strip(" ,").split(", "):
                yield name, parent, ()
            continue
        match = re.match(r"(\w+)(?: \((\w+)\))?", names)
        assert match is not None
        yield match[1], parent, (match[2],) if match[2] else ()
        parents.append((column, match[1]))


def test_tree_in_the_docstring_is_the_class_tree() -> None:
    assert errors.__doc__ is not None
    tree = {name: (parent, builtins) for name, parent, builtins in drawn(errors.__doc__)}
    real = {
        cls.__name__: (
            "" if cls is S3Error else cls.__bases__[0].__name__,
            tuple(base.__name__ for base in cls.__bases__ if not issubclass(base, S3Error))
            if cls is not S3Error
            else (),
        )
        for cls in all_classes()
    }
    assert tree == real


def test_every_class_is_exported() -> None:
    assert {cls.__name__ for cls in all_classes()} | {"ServiceErrorDetails"} == {*errors.__all__}
    assert len(errors.__all__) == len({*errors.__all__})


@pytest.mark.parametrize("cls", all_classes())
def test_errors_copy_pickle_and_hash(cls: type[S3Error]) -> None:
    error = make(cls)
    for twin in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is cls
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)
        assert isinstance(hash(twin), int)


@pytest.mark.parametrize("cls", all_classes())
def test_every_class_has_its_own_docstring(cls: type[S3Error]) -> None:
    assert cls.__doc__
    assert "__doc__" in vars(cls)


def test_service_error_has_the_attributes_of_its_details() -> None:
    error = errors.InvalidObjectState(DETAILS)
    for name in ServiceErrorDetails.__dataclass_fields__:
        if name not in ("method", "fields"):
            assert getattr(error, name) == getattr(DETAILS, name)
    assert error.details is DETAILS
    revived = pickle.loads(pickle.dumps(error))
    assert revived.headers["server"] == "AmazonS3"
    assert revived.headers.getall("X-A") == ["1", "2"]
    assert revived.details.fields == {"Resource": "/sample.jpg"}
    assert hash(revived.details) == hash(DETAILS)


def test_repr_of_details_shows_no_headers_and_no_body() -> None:
    assert "AmazonS3" not in repr(DETAILS)
    assert "Resource" not in repr(DETAILS)


def test_details_as_a_dict_are_plain_values_without_headers() -> None:
    values = DETAILS.to_dict()
    assert [*values] == [
        name for name in ServiceErrorDetails.__dataclass_fields__ if name != "headers"
    ]
    assert values["fields"] == {"Resource": "/sample.jpg"}
    assert json.loads(json.dumps(values, default=str))["server_time"].startswith("2026-03-01")


@pytest.mark.parametrize(
    ("details", "text"),
    [
        (
            ServiceErrorDetails(status=404, code="NoSuchKey", message="No.", bucket="b", key="k"),
            "GET b/k: NoSuchKey: No. [404]",
        ),
        (ServiceErrorDetails(status=404, code="NoSuchKey", bucket="b"), "GET b: NoSuchKey [404]"),
        (ServiceErrorDetails(status=404, method="HEAD", bucket="b", key="k"),
         "HEAD b/k: Not Found [404]"),
        (ServiceErrorDetails(status=503, message="Busy.", bucket="b", key="k"),
         "GET b/k: Busy. [503]"),
        (ServiceErrorDetails(status=404, delete_marker=True, bucket="b", key="k"),
         "GET b/k: Not Found (delete marker) [404]"),
        (ServiceErrorDetails(status=599, bucket="b", key="k"),
         "GET b/k: an error without a body [599]"),
    ],
)  # fmt: skip
def test_text_of_a_service_error(details: ServiceErrorDetails, text: str) -> None:
    assert str(ServiceError(details)) == text


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "lost"),
        ({"attempts": 1}, "lost"),
        ({"attempts": 3, "elapsed": 2.04}, "lost (3 attempts in 2.0 s)"),
        ({"bytes_received": 5, "bytes_expected": 10}, "lost (5 of 10 bytes)"),
        ({"bytes_received": 5}, "lost (5 of an unknown number bytes)"),
        ({"bytes_expected": 10}, "lost (0 of 10 bytes)"),
        ({"request_ids": ("A", "B", "C", "D")}, "lost (request id B, C, D)"),
        (
            {"attempts": 2, "bytes_expected": 10, "request_ids": ("A",)},
            "lost (2 attempts in 0.0 s; 0 of 10 bytes; request id A)",
        ),
    ],
)
def test_text_of_an_error_with_its_history(facts: dict[str, object], text: str) -> None:
    error = errors.ConnectionLost("lost")
    vars(error).update(facts)
    assert str(error) == text


@pytest.mark.parametrize(
    ("cls", "retryable"),
    [
        (errors.ConfigurationError, False),
        (errors.CredentialsError, False),
        (errors.ConnectionFailed, True),
        (errors.ConnectionLost, True),
        (errors.NotModified, False),
        (errors.BadRequest, False),
        (errors.RequestTimeout, True),
        (errors.AccessDenied, False),
        (errors.NoSuchKey, False),
        (errors.InvalidRange, False),
        (errors.SlowDown, True),
        (errors.ServerError, True),
        (errors.InternalError, True),
        (errors.NotImplemented, False),
        (errors.ServiceUnavailable, True),
        (errors.ChecksumMismatch, False),
    ],
)
def test_retryable(cls: type[S3Error], retryable: bool) -> None:
    assert make(cls).retryable is retryable


def test_idle_timeout_is_retryable_and_a_passed_deadline_is_not() -> None:
    idle = errors.TransportTimeout("slow", limit="idle", seconds=30.0, loop_blocked=0.5)
    assert (idle.limit, idle.seconds, idle.loop_blocked, idle.retryable) == ("idle", 30, 0.5, True)
    assert errors.TransportTimeout("late", limit="deadline").retryable is False
    assert pickle.loads(pickle.dumps(idle)).loop_blocked == 0.5


def test_integrity_errors_have_expected_and_actual_values() -> None:
    mismatch = errors.ChecksumMismatch("bad", algorithm="CRC32", expected="AA==", actual="AQ==")
    assert (mismatch.algorithm, mismatch.expected, mismatch.actual) == ("CRC32", "AA==", "AQ==")
    changed = errors.ObjectChanged("new", expected='"a"', actual='"b"')
    assert (changed.expected, changed.actual) == ('"a"', '"b"')
    assert vars(pickle.loads(pickle.dumps(changed))) == vars(changed)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("photos/2006/Février 日本 😀\\n.jpg", "photos/2006/Février 日本 😀\\n.jpg"),
        ("evil\nINFO fake", r"evil\nINFO fake"),
        ("a\r\t\x00\x1b[31m\x7f\x85", r"a\r\t\x00\x1b[31m\x7f\x85"),
        ("\u2028\u202e\udcff", r"\u2028\u202e\udcff"),
    ],
)
def test_text_is_one_printable_line(text: str, shown: str) -> None:
    details = dataclasses.replace(DETAILS, key=text, message=text)
    service, other = errors.NoSuchKey(details), errors.ConfigurationError(text)
    service.request_ids = other.request_ids = (text,)
    assert str(service).count(shown) == 3
    assert str(other) == f"{shown} (request id {shown})"
    assert (str(service) + str(other)).isprintable()
    assert service.key == text


def test_long_message_is_shown_in_part_and_kept_whole() -> None:
    message = "Request has expired. " * 3000
    error = errors.AccessDenied(
        ServiceErrorDetails(status=403, code="AccessDenied", message=message)
    )
    assert error.message == message
    assert len(str(error)) < 1100
    assert "Request has expired" in str(error)
    assert "… [403]" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
