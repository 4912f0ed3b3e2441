"""The pages are followed with the S3 endpoint of the integration tests."""

from tests.integration.conftest import s3_endpoint

__all__ = ["s3_endpoint"]
