"""Bring your own credentials: any callable that returns them, called again before they expire.

python examples/provider.py
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta

from aios3get import Credentials, S3Client


class Vault:
    """Stands for whatever hands out short-lived keys at your place."""

    def __init__(self) -> None:
        self.asked = 0

    async def credentials(self) -> Credentials:
        self.asked += 1
        await asyncio.sleep(0.05)  # a request to the vault
        return Credentials(
            access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
            secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            session_token=os.environ.get("AWS_SESSION_TOKEN"),
            expires_at=datetime.now(UTC) + timedelta(minutes=15),
        )


async def main() -> None:
    vault = Vault()
    async with S3Client(credentials=vault.credentials) as s3, asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(s3.head_object("amzn-s3-demo-bucket", "hello.txt"))
    print(f"10 calls, the vault was asked {vault.asked} time")
    assert vault.asked == 1


if __name__ == "__main__":
    asyncio.run(main())
