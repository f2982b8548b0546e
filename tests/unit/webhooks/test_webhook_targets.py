import pytest

from callboard.webhooks.errors import InvalidWebhook
from callboard.webhooks.targets import parse_url


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "example.com/hook",
        "/hook",
        "http://",
        "http:///hook",
        "http://example.com:99999/",
        "http://[::1/",
        "javascript:alert(1)",
        "http://example.com/" + "x" * 5000,
    ],
)
def test_only_http_urls_with_a_host_are_accepted(url: str) -> None:
    with pytest.raises(InvalidWebhook, match="requestUrl"):
        parse_url(url)
