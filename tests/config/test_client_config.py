from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from aios3get import errors
from aios3get._config.client_config import ClientConfig
from aios3get._protocol.identity import Credentials
from aios3get.client import S3Client

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def test_config_is_frozen_and_compares_by_value() -> None:
    config = ClientConfig(region="us-east-1")
    assert config == ClientConfig(region="us-east-1") != ClientConfig(region="eu-west-1")
    with pytest.raises(FrozenInstanceError):
        config.region = "eu-west-1"  # type: ignore[misc]  # the point of the test


def test_arguments_make_an_equal_config_and_leave_out_none() -> None:
    config = ClientConfig(region="us-east-1", max_concurrency=3)
    assert "profile" not in config.arguments()
    assert ClientConfig(**config.arguments()) == config


def test_client_and_config_take_the_same_arguments() -> None:
    client = S3Client.__init__.__annotations__.keys() - {"return"}
    assert client == set(ClientConfig.__dataclass_fields__)
    assert S3Client()._config == ClientConfig()


def test_repr_shows_no_credentials_and_no_proxy_password() -> None:
    proxy = "http://user:PASSWORD@proxy.example:3128"
    shown = repr(ClientConfig(credentials=Credentials(KEY_ID, SECRET), proxy=proxy))
    assert SECRET not in shown
    assert "PASSWORD" not in shown


@pytest.mark.parametrize("name", ["profile", "retry", "timeouts", "verify", "proxy", "session"])
def test_argument_of_another_type_is_refused_without_its_value(name: str) -> None:
    value: Any = {"SECRET"}
    with pytest.raises(errors.ConfigurationError, match=f"{name} is of type set") as caught:
        ClientConfig(**{name: value})
    assert "SECRET" not in str(caught.value)
