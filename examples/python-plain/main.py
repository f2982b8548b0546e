"""An Actor without an SDK: what the platform tells it is in the environment, everything else is plain HTTP."""

import json
import os
import statistics
from typing import Any
from urllib.request import Request, urlopen

STORE_URL = "{}/v2/key-value-stores/{}".format(
    os.environ["APIFY_API_BASE_URL"], os.environ["ACTOR_DEFAULT_KEY_VALUE_STORE_ID"]
)
HEADERS = {
    "Authorization": f"Bearer {os.environ['APIFY_TOKEN']}",
    "Content-Type": "application/json",
}


def get_value(key: str) -> Any:
    with urlopen(Request(f"{STORE_URL}/records/{key}", headers=HEADERS)) as response:
        return json.load(response)


def set_value(key: str, value: Any) -> None:
    body = json.dumps(value).encode()
    request = Request(f"{STORE_URL}/records/{key}", data=body, headers=HEADERS, method="PUT")
    urlopen(request).close()


def main() -> None:
    numbers = get_value(os.environ["ACTOR_INPUT_KEY"])["numbers"]
    print(f"Looking at {len(numbers)} numbers")
    result = {
        "mean": statistics.fmean(numbers),
        "median": statistics.median(numbers),
        "deviation": statistics.pstdev(numbers),
    }
    set_value("OUTPUT", result)


if __name__ == "__main__":
    main()
